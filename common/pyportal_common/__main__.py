"""The commands of `cli.py`: python -m pyportal_common."""

from .cli import portal

if __name__ == "__main__":
    portal(prog_name=f"python -m {__package__}")
