"""Who is represented, who is stereotyped, who gets worse quality?"""
