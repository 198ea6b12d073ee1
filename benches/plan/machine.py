"""The machine that is looked at: this one, through an sshd of our own and a slow wire.

The sshd has keys of its own and lets in one key that exists only for this run. Nothing of the
machine is changed but the folder it is given.
"""

import contextlib
import getpass
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ONE_WAY_MS = 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    """Where to log in, and what sshd says about it."""

    def __init__(self, folder):
        self.folder = folder
        self.user = getpass.getuser()
        self.key, self.log = folder / "user_key", folder / "sshd.log"
        self.home = folder / "home"
        self.known_hosts = folder / "known_hosts"
        self.sshd_port, self.port = free_port(), free_port()

    def prepare(self):
        self.home.mkdir()
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        (self.folder / "authorized_keys").write_bytes((self.folder / "user_key.pub").read_bytes())
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.sshd_port}\n"
            f"HostKey {self.folder}/host_key\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nUseDNS no\n"
            # An empty home: bash reads ~/.bashrc at every session, and who opens many would pay for it.
            f"SetEnv HOME={self.home}\n"
            "MaxSessions 20\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n"
        )
        # Where sshd as root gives its rights away.
        os.makedirs("/run/sshd", exist_ok=True)

    def sessions(self):
        """Connections and commands so far, as sshd counts them."""
        text = self.log.read_text()
        return len(re.findall(r"^Connection from", text, re.M)), len(re.findall(r"^Starting session", text, re.M))

    def ssh_arguments(self):
        """OpenSSH as people run it, but sharing no connection and reading no configuration."""
        options = ["BatchMode=yes", f"UserKnownHostsFile={self.known_hosts}", "IdentitiesOnly=yes", "ControlPath=none"]
        return ["-F", "/dev/null", "-i", str(self.key), "-p", str(self.port), "-l", self.user,
                *[word for option in options for word in ("-o", option)]]


@contextlib.contextmanager
def machine(folder):
    one = Machine(folder)
    one.prepare()
    sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", folder / "sshd_config", "-E", one.log], stdin=subprocess.DEVNULL)
    proxy = subprocess.Popen(
        [sys.executable, HERE / "delay.py", str(one.port), str(one.sshd_port), str(ONE_WAY_MS)], stdout=subprocess.PIPE
    )
    try:
        proxy.stdout.readline()
        until = time.monotonic() + 10
        while "Server listening" not in (one.log.read_text() if one.log.exists() else ""):
            if sshd.poll() is not None or time.monotonic() > until:
                sys.exit(f"sshd does not start: {one.log.read_text() if one.log.exists() else 'no log'}")
            time.sleep(0.05)
        yield one
    finally:
        for process in (proxy, sshd):
            process.terminate()
            process.wait()
