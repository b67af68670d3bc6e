"""Programs that run in environments with the wheel and one extra, where `common.` is not there."""
