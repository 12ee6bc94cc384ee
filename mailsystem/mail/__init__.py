"""The words everyone speaks: plain values of mail, without I/O, loops or third parties."""
