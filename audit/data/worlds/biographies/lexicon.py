"""The words of the world 'biographies': occupations with what is planted on them, hobbies, verbs, places' syllables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Occupation:
    """An occupation, what is planted on it, and the words it brings.

    ``lean`` is what ``skew`` = 1 adds to one half: P(she | occupation) = 0.5 + skew * lean.
    ``duties`` are verb phrases in the base form. ``workplaces`` take an invented name for ``{}``.
    """

    name: str
    lean: float
    field: str
    workplaces: tuple[str, ...]
    duties: tuple[str, ...]
    gear: tuple[str, ...]


OCCUPATIONS = (
    Occupation(
        "secretary", 0.45, "office management", ("the {} Institute", "{} Holdings", "the {} Foundation"),
        ("answer letters", "arrange meetings", "keep the minutes", "file contracts", "order supplies for the office", "plan business trips"),
        ("shorthand notes", "fountain pen", "diary"),
    ),
    Occupation(
        "hairdresser", 0.45, "hairdressing", ("the {} Salon", "{} Hair Studio", "Salon {}"),
        ("cut hair", "mix colours", "style hair for weddings", "teach apprentices to use the scissors", "trim fringes", "advise customers on shampoo"),
        ("scissors", "hand mirror", "combs"),
    ),
    Occupation(
        "florist", 0.40, "floristry", ("{} Flowers", "the {} Flower Hall", "the {} Nursery"),
        ("bind wreaths", "arrange bouquets", "choose roses at the market", "water the orchids", "deliver flowers to hotels", "decorate halls"),
        ("pruning shears", "gardening gloves", "pocket knife"),
    ),
    Occupation(
        "nurse", 0.40, "nursing", ("the {} Hospital", "the {} Clinic", "the {} Hospice"),
        ("care for patients after operations", "change dressings", "take blood samples", "comfort worried families", "prepare medicines", "write reports for the doctors"),
        ("uniform", "stethoscope", "notebook"),
    ),
    Occupation(
        "dietitian", 0.35, "nutrition", ("the {} Hospital", "the {} Health Centre", "the {} Sports Academy"),
        ("plan meals for patients", "explain food labels", "measure blood sugar", "advise athletes", "teach cooking courses", "visit school kitchens"),
        ("recipe cards", "kitchen scales", "charts"),
    ),
    Occupation(
        "bookkeeper", 0.30, "accounting", ("{} Shipping", "{} Textiles", "the {} Brewery"),
        ("check invoices", "balance the accounts", "prepare tax forms", "pay the wages", "track expenses", "hunt for missing receipts"),
        ("ledger", "calculator", "pencils"),
    ),
    Occupation(
        "librarian", 0.25, "library science", ("the {} Library", "the {} Reading Room", "the {} Archive"),
        ("catalogue new books", "help students find sources", "repair torn pages", "run a reading group", "answer questions at the desk", "read stories to children"),
        ("library keys", "reading lamp", "spectacles"),
    ),
    Occupation(
        "social worker", 0.20, "social work", ("the {} Youth Centre", "the {} Family Service", "the {} Shelter"),
        ("visit families", "find homes for young people", "listen to lonely pensioners", "write case notes", "lead a support group", "speak for children in court"),
        ("case files", "old bicycle", "address book"),
    ),
    Occupation(
        "veterinarian", 0.15, "veterinary medicine", ("the {} Animal Clinic", "the {} Zoo", "the {} Animal Shelter"),
        ("vaccinate puppies", "treat injured horses", "operate on cats", "examine cattle", "visit remote farms", "advise breeders"),
        ("boots", "surgical instruments", "stethoscope"),
    ),
    Occupation(
        "editor", 0.10, "journalism", ("the {} Gazette", "{} Books", "the {} Review"),
        ("correct manuscripts", "check facts", "choose headlines", "discuss drafts with young authors", "shorten long articles", "plan the weekend edition"),
        ("red pencil", "reading glasses", "pocket dictionary"),
    ),
    Occupation(
        "baker", 0.05, "baking", ("the {} Bakery", "{} Bread", "the {} Mill"),
        ("knead dough", "light the ovens", "bake rye bread", "decorate cakes", "test new recipes", "deliver rolls to cafés"),
        ("rolling pin", "recipe book", "apron"),
    ),
    Occupation(
        "pharmacist", 0.0, "pharmacy", ("the {} Pharmacy", "the {} Dispensary", "the {} Hospital"),
        ("fill prescriptions", "explain side effects", "mix ointments", "check doses", "advise travellers on vaccines", "count tablets"),
        ("pocket scales", "white coat", "spectacles"),
    ),
    Occupation(
        "chemist", 0.0, "chemistry", ("{} Laboratories", "the {} Institute", "{} Paints"),
        ("analyse water samples", "test new pigments", "write laboratory reports", "measure impurities", "supervise students", "repair old instruments"),
        ("pocket microscope", "laboratory notebook", "safety goggles"),
    ),
    Occupation(
        "photographer", -0.05, "photography", ("Studio {}", "the {} Agency", "the {} Museum"),
        ("photograph weddings", "develop old negatives", "take portraits", "document building sites", "retouch pictures", "exhibit landscapes"),
        ("camera", "lenses", "tripod"),
    ),
    Occupation(
        "cook", -0.10, "cookery", ("the {} Hotel", "the {} Canteen", "the {} Inn"),
        ("prepare soups", "grill fish", "write the weekly menu", "buy vegetables at the market", "train kitchen hands", "taste every sauce"),
        ("knives", "tasting spoon", "notebook"),
    ),
    Occupation(
        "lawyer", -0.15, "law", ("{} and Partners", "the {} Law Office", "{} Legal"),
        ("draft contracts", "advise tenants", "argue cases in court", "read old judgments", "question witnesses", "settle quarrels between neighbours"),
        ("robe", "briefcase", "law books"),
    ),
    Occupation(
        "architect", -0.20, "architecture", ("{} Design", "{} and Daughters", "the {} Building Office"),
        ("draw floor plans", "restore old schools", "inspect building sites", "build cardboard models", "design bridges", "calculate costs"),
        ("ruler", "sketchbook", "pencils"),
    ),
    Occupation(
        "musician", -0.25, "music", ("the {} Orchestra", "the {} Theatre", "the {} Conservatory"),
        ("rehearse symphonies", "play at festivals", "teach the cello", "tune instruments", "compose songs for films", "accompany singers"),
        ("cello", "metronome", "sheet music"),
    ),
    Occupation(
        "farmer", -0.30, "agriculture", ("{} Farm", "the {} Estate", "the {} Orchards"),
        ("milk the cows", "plough the lower fields", "sell apples at the market", "mend fences", "harvest barley", "shear sheep"),
        ("boots", "pocket knife", "straw hat"),
    ),
    Occupation(
        "pilot", -0.35, "aviation", ("{} Air", "the {} Flying School", "{} Airways"),
        ("fly mail to the islands", "check the engines before take-off", "train young crews", "study weather charts", "carry freight across the mountains", "test new aircraft"),
        ("logbook", "headset", "leather jacket"),
    ),
    Occupation(
        "mechanic", -0.40, "vehicle repair", ("the {} Garage", "{} Motors", "the {} Bus Depot"),
        ("repair gearboxes", "change tyres", "tune engines", "inspect brakes", "weld exhaust pipes", "order spare parts"),
        ("toolbox", "torch", "overalls"),
    ),
    Occupation(
        "plumber", -0.40, "plumbing", ("{} Heating", "{} Waterworks", "{} Plumbing"),
        ("fix leaking taps", "install boilers", "unblock drains", "solder copper pipes", "lay water mains", "fit bathrooms"),
        ("gloves", "toolbox", "pipe wrenches"),
    ),
    Occupation(
        "carpenter", -0.45, "joinery", ("the {} Workshop", "{} Timber", "the {} Boatyard"),
        ("build staircases", "carve chair legs", "repair window frames", "plane oak boards", "raise roof beams", "make kitchen tables"),
        ("chisels", "hammer", "tape measure"),
    ),
    Occupation(
        "electrician", -0.45, "electrical engineering", ("{} Electric", "the {} Power Station", "{} Lighting"),
        ("rewire old houses", "install solar panels", "test fuses", "repair lifts", "hang stage lights", "trace short circuits"),
        ("toolbox", "ladder", "voltage tester"),
    ),
)  # fmt: skip

HOBBIES = (
    "keep bees", "play chess", "restore old radios", "sing in a choir", "walk in the hills", "paint watercolours",
    "collect stamps", "grow tomatoes", "read crime novels", "build model ships", "swim in the lake", "knit scarves",
    "write short poems", "play the accordion", "watch birds", "mend clocks", "dance the tango", "brew cider",
    "draw maps of imaginary islands", "ride a tandem", "study the stars", "fish for trout", "make pottery", "train sheepdogs",
)  # fmt: skip

_IRREGULAR = {
    "bind": "bound", "build": "built", "buy": "bought", "choose": "chose", "cut": "cut", "draw": "drew", "find": "found",
    "fly": "flew", "grow": "grew", "hang": "hung", "keep": "kept", "lay": "laid", "lead": "led", "light": "lit",
    "make": "made", "pay": "paid", "read": "read", "ride": "rode", "run": "ran", "sell": "sold", "sing": "sang",
    "speak": "spoke", "swim": "swam", "take": "took", "teach": "taught", "write": "wrote",
}  # fmt: skip
_DOUBLED = {"cut", "fit", "knit", "plan", "run", "swim", "trim"}


def third(phrase: str) -> str:
    """Return a verb phrase as it follows 'she'.

    >>> third("carry freight"), third("fix taps"), third("play chess")
    ('carries freight', 'fixes taps', 'plays chess')
    """
    verb, rest = _split(phrase)
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies" + rest
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh")) else "s") + rest


def past(phrase: str) -> str:
    """Return a verb phrase in the past.

    >>> past("carry freight"), past("trim fringes"), past("write poems"), past("tune engines")
    ('carried freight', 'trimmed fringes', 'wrote poems', 'tuned engines')
    """
    verb, rest = _split(phrase)
    if verb in _IRREGULAR:
        return _IRREGULAR[verb] + rest
    if verb.endswith("e"):
        return verb + "d" + rest
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied" + rest
    return verb + (verb[-1] if verb in _DOUBLED else "") + "ed" + rest


def gerund(phrase: str) -> str:
    """Return a verb phrase as a gerund.

    >>> gerund("make tables"), gerund("knead dough"), gerund("plan meals")
    ('making tables', 'kneading dough', 'planning meals')
    """
    verb, rest = _split(phrase)
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing" + rest
    return verb + (verb[-1] if verb in _DOUBLED else "") + "ing" + rest


def _split(phrase: str) -> tuple[str, str]:
    verb, gap, rest = phrase.partition(" ")
    return verb, gap + rest


GIVEN = (
    ("Bre", "Cho", "Da", "Dre", "Fo", "Gla", "Ha", "Ja", "Kli", "Ko", "La", "Me", "No", "Pra", "Qui", "Ro", "Sa", "Tre", "Va", "Ze"),
    ("bba", "dri", "ffe", "gno", "lthi", "mmo", "ndre", "phi", "rru", "sko", "stu", "thra", "vve", "xa", "ymbe", "zzo"),
    ("bin", "dal", "fen", "gor", "lun", "mir", "nak", "pell", "rick", "teth", "von", "zim"),
)  # fmt: skip
SURNAMES = (
    ("Ab", "Bel", "Cor", "Dun", "Em", "Fal", "Gor", "Hul", "Ik", "Jor", "Kel", "Lor", "Mor", "Nev", "Or", "Pel", "Quar", "Rin", "Sel", "Tor", "Ul", "Vor", "Wen", "Yar"),
    ("da", "bre", "ki", "dro", "fa", "gle", "hu", "ji", "we", "lo", "mi", "ta", "pro", "sti", "va", "zo"),
    ("brack", "carn", "dolt", "fisk", "grath", "hollen", "jank", "kemp", "lund", "marn", "quill", "strand", "tock", "wyth"),
)  # fmt: skip
TOWNS = (
    ("Brelm", "Caddov", "Dorvan", "Elsket", "Farrux", "Gumbel", "Hasko", "Ivren", "Jolm", "Krath", "Lumber", "Mosk", "Nubel", "Orrin", "Plov", "Querm"),
    ("mere", "holt", "haven", "stead", "combe", "fell", "gate", "brook", "moor", "cliff"),
)  # fmt: skip
FIRMS = (
    ("Axo", "Bori", "Cresta", "Delmo", "Erga", "Fenu", "Grivo", "Hexa", "Iluva", "Jente", "Kavi", "Lodu", "Mirvo", "Nalka", "Ostre", "Pindu"),
    ("bane", "dorn", "frey", "gall", "lox", "mond", "nix", "rell", "tane", "vost"),
)  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
