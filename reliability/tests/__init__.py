"""Tests of the checkers, and short runs."""
