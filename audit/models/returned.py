"""What a user's model returns, turned into the rows and numbers an audit reads; an error says what would be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability, implemented
from audit.core.rows import FILE, IMAGE, PREFIX, TEXT, Rng, Rows, image_rows, text_rows, texts_of

RANGES: Mapping[str, tuple[float, float]] = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
"""What black and white are in images of floating-point numbers, by the name an option gives it."""
LAYOUTS = ("NCHW", "NHWC")
_CHANNELS = (1, 3)
_BEYOND, _MOST_BEYOND = 0.1, 0.05
"""Values further outside a range than this share of it, and how many of them may be: an unclamped network's, not more."""
_TRIED: Mapping[Capability, Callable[[Any, Rows, Rng], Any]] = {
    Capability.RECONSTRUCT: lambda model, rows, rng: model.reconstruct(rows, rng),
    Capability.DEGRADE: lambda model, rows, rng: model.degrade(rows),
    Capability.LOG_LIKELIHOOD: lambda model, rows, rng: model.log_likelihood(rows),
    Capability.LIKELIHOOD_BOUND: lambda model, rows, rng: model.likelihood_bound(rows, rng),
    Capability.DENOISING_LOSS: lambda model, rows, rng: model.denoising_loss(rows, 0.5, rng),
    Capability.REALNESS: lambda model, rows, rng: model.realness(rows),
    Capability.ENCODE: lambda model, rows, rng: model.encode(rows),
}
"""How each capability is asked about rows."""
_ROWS = frozenset({Capability.SAMPLE, Capability.RECONSTRUCT, Capability.DEGRADE, Capability.DECODE})
_NUMBERS = frozenset(
    {
        Capability.LOG_LIKELIHOOD,
        Capability.LIKELIHOOD_BOUND,
        Capability.LOG_IMPORTANCE_WEIGHTS,
        Capability.DENOISING_LOSS,
        Capability.REALNESS,
        Capability.ENCODE,
        Capability.POSTERIOR,
    }
)


class ReturnedError(ValueError):
    """A model returned something that cannot be read; the message says what, and what would be right."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a model says about its outputs: what they are, what black and white are, and which axis holds channels."""

    modality: str
    pixels: str | None = None
    layout: str | None = None


def adapted(model: Any, form: Form) -> Any:
    """Return the model with its outputs turned into what an audit reads; all else of it is as it was."""
    methods: dict[str, Callable[..., Any]] = {}
    for capability in implemented(type(model)):
        name = capability.value
        methods[name] = (
            _rows_method(name, form) if capability in _ROWS else _passing(name, capability in _NUMBERS)
        )
    if hasattr(model, "sample_range"):
        methods["sample_range"] = _rows_method("sample_range", form)
    if hasattr(model, "sample_each"):
        methods["sample_each"] = _rows_method("sample_each", form)
    kind = type(type(model).__name__, (_Adapted,), methods)
    return kind(model)


class _Adapted:
    """Stands before a model: what is not defined here is asked of it, what is set here is set on it."""

    def __init__(self, model: Any) -> None:
        object.__setattr__(self, "_model", model)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_model"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_model"), name, value)


def _rows_method(name: str, form: Form) -> Callable[..., Any]:
    def call(self: Any, *given: Any, **named: Any) -> Rows:
        model = object.__getattribute__(self, "_model")
        wanted, condition = _wanted(name, given, named)
        return rows_of(getattr(model, name)(*given, **named), wanted, form, name, condition)

    return call


def _passing(name: str, numbers: bool) -> Callable[..., Any]:
    def call(self: Any, *given: Any, **named: Any) -> Any:
        found = getattr(object.__getattribute__(self, "_model"), name)(*given, **named)
        if not numbers:
            return found
        rows = given[0] if given else named.get("rows")
        return numbers_of(found, int(getattr(rows, "num_rows", 0)), name)

    return call


def numbers_of(found: Any, wanted: int, name: str) -> NDArray[np.float64]:
    """Return numbers as an audit reads them: one for each example, or for ``encode`` one vector for each.

    Raise ReturnedError that says what was returned and what would be right.
    """
    array, vectors = _array(found), name == Capability.ENCODE
    if array is not None and not vectors and array.shape == (wanted, 1):
        array = array[:, 0]
    if array is None or array.ndim != (2 if vectors else 1) or len(array) != wanted:
        right = (
            f"one vector for each example: an array or a tensor of shape ({wanted}, values), as .flatten(1) makes it"
            if vectors
            else f"one number for each example: an array or a tensor of shape ({wanted},), not their mean"
        )
        raise ReturnedError(
            f"{name} was asked about {wanted} and returned {_described(found)}; it must return {right}"
        )
    return array.astype(np.float64)


def wrong_answer(model: Any, rows: Rows, rng: Callable[[], Rng]) -> str:
    """Ask a model, already adapted, everything else that it offers about rows it drew; return what is wrong, or nothing.

    What raises for another reason is left to the run: a few rows are no data.
    """
    for capability, ask in _TRIED.items():
        if capability not in implemented(type(model)):
            continue
        try:
            ask(model, rows, rng())
        except ReturnedError as error:
            return str(error)
        except Exception:  # noqa: S112  # the run will say so where it counts
            continue
    return ""


def _wanted(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[int, Any]:
    """Return how many rows a call asks for, and the rows that they are drawn for."""
    match name:
        case "sample":
            return int(given[0] if given else named["n"]), given[2] if len(given) > 2 else named.get(
                "condition"
            )
        case "sample_range":
            return int(given[1]) - int(given[0]), None
        case "sample_each":
            return len(given[0]), given[1] if len(given) > 1 else named.get("condition")
        case "reconstruct" | "degrade":
            return int(given[0].num_rows), None
    return len(given[0]), None


def rows_of(found: Any, wanted: int, form: Form, name: str = "sample", condition: Any = None) -> Rows:
    """Return what a model returned as rows. Raise ReturnedError that says what it returned and what would be right.

    Taken are a pyarrow table; for images numpy arrays and torch tensors, (n, height, width, channels), (n, channels,
    height, width) or (n, height, width), uint8, or floating-point in the range that the model declares; a list of such
    images, of PIL images, or of the bytes of image files, which are kept beside the pixels; for texts a list of strings. Floats are rounded to the nearest of 256 levels after values
    beyond the range were cut off.
    """
    rows = found if hasattr(found, "num_rows") and hasattr(found, "column_names") else None
    if rows is None:
        rows = _texts(found, name, condition) if form.modality == "text" else _images(found, form, name)
    if rows.num_rows != wanted:
        raise ReturnedError(
            f"{name} was asked for {wanted} and returned {rows.num_rows}; it must return as many"
        )
    column = {"image": IMAGE, "text": TEXT}.get(form.modality)
    if column is not None and column not in rows.column_names:
        raise ReturnedError(
            f"{name} returned a table with the columns {', '.join(rows.column_names)}; for {form.modality} it needs the "
            f"column '{column}', as audit.core.rows.{form.modality}_rows makes it"
        )
    kind = None if column is None else rows.schema.field(column).type
    if column == IMAGE and len(getattr(kind, "shape", ())) != 3:
        raise ReturnedError(
            f"{name} returned a table whose column '{column}' holds {kind}; it must hold pixels, as audit.core.rows.image_rows "
            "makes it"
        )
    return rows


def _texts(found: Any, name: str, condition: Any) -> Rows:
    listed = found.tolist() if isinstance(found, np.ndarray) else found
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise ReturnedError(
            f"{name} returned {_described(found)}; for text it must return a list of strings, one for each that was asked "
            "for, or audit.core.rows.text_rows(strings)"
        )
    known = getattr(condition, "column_names", ())
    prompts = next((texts_of(condition, column) for column in (PREFIX, TEXT) if column in known), None)
    if prompts is None or len(prompts) != len(listed):
        return text_rows(listed)
    return text_rows(listed, **{PREFIX: prompts})


def _files(found: Any, name: str) -> Rows | None:
    """Return the rows of encoded images, pixels beside the files; None when what was returned is something else."""
    if not isinstance(found, list | tuple) or not found or not all(isinstance(one, bytes) for one in found):
        return None
    from tempfile import TemporaryDirectory

    from audit.formats.hostile import UnreadableError
    from audit.formats.images import ImageRules, read_image

    pixels = []
    try:
        with TemporaryDirectory() as folder:  # files are read in one place, and that place reads files
            for one in found:
                (place := Path(folder) / "output").write_bytes(one)
                pixels.append(read_image(place, ImageRules()))
    except UnreadableError as error:
        raise ReturnedError(f"{name} returned bytes that are no image file: {error}") from error
    if len({one.shape for one in pixels}) != 1:
        raise ReturnedError(
            f"{name} returned image files of different sizes; an audit compares images of one size"
        )
    return image_rows(np.stack(pixels), **{FILE: list(found)})


def _images(found: Any, form: Form, name: str) -> Rows:
    if form.modality == "image" and (files := _files(found, name)) is not None:
        return files
    array = _array(found)
    if form.modality != "image" or array is None:
        right = (
            "for images it must return an array or a tensor of shape (n, height, width, channels) or (n, channels, height, "
            "width), uint8, or floating-point with pixel_range declared; or audit.core.rows.image_rows(array)"
            if form.modality == "image"
            else f"for {form.modality} it must return a pyarrow.Table with one row for each that was asked for"
        )
        raise ReturnedError(f"{name} returned {_described(found)}; {right}")
    return image_rows(_levels(_channels_last(array, form, name), form, name))


def _array(found: Any) -> NDArray[Any] | None:
    """Return an array of numbers made of an array, a tensor, an image, or a list of those; None when it holds no numbers."""
    if isinstance(found, list | tuple) and found:
        parts = [_array(one) for one in found]
        if (
            any(part is None for part in parts)
            or len({part.shape for part in parts if part is not None}) != 1
        ):
            return None
        return np.stack([part for part in parts if part is not None])
    if np.ma.is_masked(found):  # what lies under a mask is no answer
        return None
    if hasattr(found, "detach"):
        try:
            tensor = found.detach().cpu()
            narrow = str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8"))
            found = (tensor.float() if narrow else tensor).resolve_conj().resolve_neg().numpy()
        except (TypeError, RuntimeError):  # sparse, without data, quantised, packed: no plain numbers
            return None
    elif hasattr(found, "getbands") and hasattr(found, "convert"):  # an image of PIL
        found = np.asarray(found if found.mode in ("L", "RGB") else found.convert("RGB"))
    if isinstance(found, bool | str | bytes) or not isinstance(found, np.ndarray | np.generic | int | float):
        return None
    array = np.asarray(found)
    return array if array.dtype.kind in "uif" else None


def _channels_last(array: NDArray[Any], form: Form, name: str) -> NDArray[Any]:
    if 0 in array.shape[1:]:
        raise ReturnedError(f"{name} returned {_described(array)}, which has no pixels")
    if array.ndim == 3:
        return array[..., None]
    if array.ndim != 4:
        raise ReturnedError(
            f"{name} returned {_described(array)}; images are (n, height, width, channels) or (n, channels, height, width), "
            "the first axis counting them even when there is one"
        )
    first, last = array.shape[1] in _CHANNELS, array.shape[3] in _CHANNELS
    layout = form.layout or ("NCHW" if first and not last else "NHWC" if last and not first else None)
    if layout is None:
        wrong = "it cannot be told which axis holds the channels" if first else "no axis has 1 or 3 channels"
        raise ReturnedError(
            f'{name} returned {_described(array)}, in which {wrong}: declare layout = "NCHW" or "NHWC" in the class or in '
            "[model], and return grey or RGB"
        )
    moved = array.transpose(0, 2, 3, 1) if layout == "NCHW" else array
    if moved.shape[3] not in _CHANNELS:
        raise ReturnedError(
            f"{name} returned {_described(array)}, and images laid out as {layout} have 1 or 3 channels"
        )
    return moved


def _levels(array: NDArray[Any], form: Form, name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.size and not np.isfinite(array).all():
        raise ReturnedError(f"{name} returned images with NaN or infinite values; its weights may be damaged")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind in "ui":
        if low < 0 or high > 255:
            raise ReturnedError(
                f"{name} returned whole numbers from {low:g} to {high:g}; pixels are 0 to 255"
            )
        return array.astype(np.uint8)
    if form.pixels is None:
        raise ReturnedError(
            f"{name} returned {array.dtype} from {low:.3g} to {high:.3g}, and nothing says which values are black and white: "
            f'declare pixel_range = "0..1", "-1..1" or "0..255" in the class or in [model], or return uint8'
        )
    black, white = RANGES[form.pixels]
    margin = _BEYOND * (white - black)
    beyond = float(np.mean((array < black - margin) | (array > white + margin))) if array.size else 0.0
    dark = form.pixels == "0..255" and high <= 1.0 and low < high
    if beyond > _MOST_BEYOND or dark:
        raise ReturnedError(
            f'{name} returned {array.dtype} from {low:.3g} to {high:.3g}, and pixel_range is "{form.pixels}": correct it, or '
            "scale what is returned"
        )
    scaled = (np.clip(array.astype(np.float64), black, white) - black) * (255.0 / (white - black))
    return np.rint(scaled).astype(np.uint8)


def _described(found: Any) -> str:
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    kind = type(found).__name__
    if isinstance(found, list | tuple) and found:
        return f"a {kind} of {len(found)}, the first {_described(found[0])}"
    return kind if shape is None else f"{kind} of shape {tuple(shape)} and type {dtype}"
