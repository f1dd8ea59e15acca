"""Names that try to be more than text: markup, commands, control characters."""

HOSTILE = "<img src=x onerror=alert(1)>|`[a](javascript:b)`\x00\x1b[31m\u202e=cmd()"
