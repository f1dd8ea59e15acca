"""Small faults planted in the code, one at a time: do the tests notice?"""
