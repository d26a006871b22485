"""Are the outputs good, varied and useful?"""
