"""The seeds of all users: encrypting them with another key, and whether all can be read."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select, update

from common.pyportal_common.db import Database
from common.pyportal_common.findings import Finding

from ..models import AuthenticatorApp
from .seeds import NoFactorKey, SeedCipher, SeedUnreadable

_AT_ONCE = 200


class StoredSeeds:
    """Walks along the seeds in SQL, in short transactions."""

    def __init__(self, database: Database, cipher: SeedCipher) -> None:
        self._database = database
        self._cipher = cipher

    def encrypt_again(self) -> tuple[int, int]:
        """Encrypt each with the first key. Returns how many were, and how many cannot be read.

        A seed that is replaced meanwhile stays as it is. Raises NoFactorKey.
        """
        current = self._cipher.current
        if current is None:
            raise NoFactorKey
        changed = unreadable = 0
        for apps in self._steps():
            for app in apps:
                if app.seed.startswith(current):
                    continue
                try:
                    changed += self._encrypt(app)
                except SeedUnreadable:
                    unreadable += 1
        return changed, unreadable

    def check(self) -> Iterator[Finding]:
        """What `doctor` finds: whether FACTOR_KEYS has the keys of all seeds."""
        total = unreadable = 0
        for apps in self._steps():
            total += len(apps)
            unreadable += sum(not self._is_readable(app) for app in apps)
        if unreadable:
            text = f"{unreadable} of {total} seeds of authenticator apps cannot be read"
            yield Finding("seeds", "wrong", text, "add the earlier key to FACTOR_KEYS: new,old")
        elif self._cipher.current is None:
            yield Finding("seeds", "ok", "FACTOR_KEYS has no key: there are no authenticator apps")
        else:
            yield Finding("seeds", "ok", "FACTOR_KEYS has the keys of all authenticator apps")

    def _encrypt(self, app: AuthenticatorApp) -> int:
        seed = self._cipher.encrypt(self._cipher.decrypt(app.seed, app.user_id), app.user_id)
        is_same = (AuthenticatorApp.user_id == app.user_id, AuthenticatorApp.seed == app.seed)
        with self._database.begin(changes_cached=False) as tx:
            done = update(AuthenticatorApp).where(*is_same).values(seed=seed)
            return int(tx.scalar(done.returning(AuthenticatorApp.user_id)) is not None)

    def _is_readable(self, app: AuthenticatorApp) -> bool:
        try:
            self._cipher.decrypt(app.seed, app.user_id)
        except SeedUnreadable:
            return False
        return True

    def _steps(self) -> Iterator[Sequence[AuthenticatorApp]]:
        last = 0
        while True:
            following = select(AuthenticatorApp).where(AuthenticatorApp.user_id > last)
            with self._database.read() as tx:
                order = AuthenticatorApp.user_id
                apps = tx.scalars(following.order_by(order).limit(_AT_ONCE)).all()
            if not apps:
                return
            yield apps
            last = apps[-1].user_id
