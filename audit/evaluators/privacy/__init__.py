"""What of the training data can be got back out?"""
