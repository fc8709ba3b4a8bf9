"""Prints the SHA-256 of every certificate that is trusted here: by python's
default, and in any file of the places where stores are kept."""
import glob, hashlib, json, os, re, ssl

BLOCK = re.compile("-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.S)


def fingerprint(der):
    return ":".join(f"{b:02X}" for b in hashlib.sha256(der).digest())


context = ssl.create_default_context()
files = []
for root in ("/etc/ssl", "/usr/local/share/ca-certificates", "/etc/pki", "/usr/lib/ssl"):
    for directory, _, names in os.walk(root, followlinks=True):
        for name in names:
            try:
                text = open(os.path.join(directory, name), errors="replace").read()
            except OSError:
                continue
            files += [fingerprint(ssl.PEM_cert_to_DER_cert(block)) for block in BLOCK.findall(text)]
json.dump({
    "python": [fingerprint(der) for der in context.get_ca_certs(binary_form=True)],
    "files": files,
    "hashed": bool(glob.glob("/etc/ssl/certs/????????.0")),
}, __import__("sys").stdout)
