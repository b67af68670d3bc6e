"""What both versions of the store do in outages and races: python -m examples.faults"""
