"""Can anyone tell, later, that this was generated?"""
