"""Can training data be recovered from the model?"""
