"""Compression of answers, `Compression`, and of what clients send, `Decompression`."""

from fairlead.compression.codec import available_codings
from fairlead.compression.compression import Compression
from fairlead.compression.decompression import Decompression

__all__ = ["Compression", "Decompression", "available_codings"]
