"""Writes down what its terminal is sent, byte by byte, until F12; what it was sent so far lies in the folder that it shares."""
import os
import tty

tty.setraw(0)
# What is seen from outside once it listens.
os.write(1, b"#" * 400)
typed = b""
os.makedirs("Nearlight", exist_ok=True)
while not typed.endswith(b"\x1b[24~"):
    typed += os.read(0, 4096)
    # Whoever reads it has all of it. What begins with a dot is shared with nobody.
    with open("Nearlight/.typed", "wb") as file:
        file.write(typed)
    os.replace("Nearlight/.typed", "Nearlight/typed")
os.makedirs("Documents", exist_ok=True)
with open("Documents/typed", "wb") as file:
    file.write(typed.removesuffix(b"\x1b[24~"))
