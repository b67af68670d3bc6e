"""Every kind of error that Redis 7 and Valkey 9 can answer with.

From the servers' sources; the tests hold it against the strings in the binaries that they run.
"""

REPLIES = {
    "ASK": "ASK 866 127.0.0.1:6381",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
    "BUSYGROUP": "BUSYGROUP Consumer Group name already exists",
    "BUSYKEY": "BUSYKEY Target key name already exists.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "CROSSSLOT": "CROSSSLOT Keys in request don't hash to the same slot",
    "DENIED": "DENIED Redis is running in protected mode because protected mode is enabled",
    "ERR": "ERR unknown command 'EVALSHA', with args beginning with: ",
    "ERR without a text": "ERR",
    "ERR of a script": "ERR Error running script (call to f_1): @user_script:1: wrong",
    "ERR of an ACL in a script": "ERR The user executing the script can't run this command",
    "ERR of an ACL in a script, later": "ERR ACL failure in script: No permissions to access a key",
    "ERR of a full server": "ERR max number of clients reached",
    "ERR of a database": "ERR DB index is out of range",
    "EXECABORT": "EXECABORT Transaction discarded because of previous errors.",
    "INPROG": "INPROG Failover already in progress",
    "INVALIDOBJ": "INVALIDOBJ Corrupted HLL object detected",
    "IOERR": "IOERR error or timeout connecting to the client",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to",
    "MOVED": "MOVED 866 127.0.0.1:6381",
    "NOAUTH": "NOAUTH Authentication required.",
    "NOGOODPRIMARY": "NOGOODPRIMARY Primary does not support FAILOVER command",
    "NOGOODSLAVE": "NOGOODSLAVE No suitable replica to promote",
    "NOGROUP": "NOGROUP No such consumer group",
    "NOMASTERLINK": "NOMASTERLINK Can't SYNC while not connected with my master",
    "NOPERM": "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOPERM of a key": "NOPERM No permissions to access a key",
    "NOPROTO": "NOPROTO unsupported protocol version",
    "NOQUORUM": "NOQUORUM 1 usable Sentinels. ",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "NOSCRIPT": "NOSCRIPT No matching script. Please use EVAL.",
    "NOTBUSY": "NOTBUSY No scripts in execution right now.",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "REDIRECT": "REDIRECT 127.0.0.1:6381",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "UNBLOCKED": "UNBLOCKED client unblocked via CLIENT UNBLOCK",
    "UNKILLABLE": "UNKILLABLE Sorry the script already executed write commands",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "WRONGTYPE": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "a code of a module": "MYMODULE something is wrong",
    "no code": "something is wrong",
    "bytes that are not UTF-8": "ERR \udcff\udcfe",
}
"""Error replies without the minus sign, by their code and what is special about them."""

TO_OTHER_COMMANDS = {
    *("BUSYGROUP", "BUSYKEY", "INPROG", "INVALIDOBJ", "IOERR", "NOGOODPRIMARY", "NOGOODSLAVE"),
    *("NOGROUP", "NOMASTERLINK", "NOPROTO", "NOQUORUM", "NOTBUSY", "UNBLOCKED", "UNKILLABLE"),
}
"""Those that answer commands which the services never send."""
