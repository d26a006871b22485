"""Do samples copy training examples?"""
