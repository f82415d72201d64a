"""Access tokens: `attach` makes an app trust an issuer, `protected` keeps a handler for who may call it."""

from fairlead.auth.expiry import until_expiry
from fairlead.auth.guard import Guard, InsufficientScope, MissingToken, Protected, attach, guard_of, protected
from fairlead.auth.keys import KeySet, SigningKey, VerificationKey
from fairlead.auth.tokens import InvalidToken, Principal, TokenIssuer, TokenVerifier

__all__ = [
    "Guard",
    "InsufficientScope",
    "InvalidToken",
    "KeySet",
    "MissingToken",
    "Principal",
    "Protected",
    "SigningKey",
    "TokenIssuer",
    "TokenVerifier",
    "VerificationKey",
    "attach",
    "guard_of",
    "protected",
    "until_expiry",
]
