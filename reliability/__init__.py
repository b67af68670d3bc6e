"""Whether the guarantee of the cache holds while things die. README.md says how that is seen."""
