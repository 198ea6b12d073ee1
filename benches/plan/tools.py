"""The tools that are compared: how each is run, and whether it did all of the work.

A run that does not find all 200 checks in order is no measurement: `Wrong` ends the benchmark.
"""

import json
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

from work import CHECKS, DIRECTORIES, FILES, PACKAGES


class Wrong(Exception):
    """A tool did not do the work."""


def timed(command, name, env=None):
    """Runs it; seconds and what it printed."""
    begin = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, **(env or {})})
    seconds = time.monotonic() - begin
    if done.returncode != 0:
        raise Wrong(f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds, done.stdout + "\n" + done.stderr


def expect(true, name, said):
    if not true:
        raise Wrong(f"{name} did not find {CHECKS} things in order:\n{said[-4000:]}")


def installed(package):
    """The folder of a tool from PyPI, installed once; the newest for this Python."""
    cache = Path(os.environ.get("OTR_BENCH_CACHE", Path.home() / ".cache/otr-bench"))
    folder = cache / package
    if not (folder / "bin" / package.split("-")[0]).exists():
        print(f"installing {package} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin/pip", "-q", "install", package], check=True)
    version = subprocess.run([folder / "bin/pip", "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    version = next(one["version"] for one in json.loads(version) if one["name"] == package)
    print(f"{package} {version}", file=sys.stderr)
    return folder / "bin"


class Ssh:
    """The floor: a login and nothing else."""

    def __init__(self, machine):
        self.command = ["ssh", *machine.ssh_arguments(), "127.0.0.1", "true"]

    def run(self):
        return timed(self.command, "ssh")[0]


class Otr:
    def __init__(self, machine, work, folder, program):
        self.program = program
        (folder / "spec.yaml").write_text(work.spec(machine))
        self.command = [program, "plan", "--json", "--detailed-exitcode", "--spec", folder / "spec.yaml"]

    def run(self):
        seconds, said = timed(self.command, "otr plan")
        resources = json.loads(said)["resources"]
        # The one resource of packages holds 20 checks.
        checks = sum(PACKAGES if one["kind"] == "packages" else 1 for one in resources)
        expect(checks == CHECKS and all(one["state"] == "holds" for one in resources), "otr", said)
        return seconds

    def version(self):
        return timed([self.program, "--version"], "otr --version")[0]


class Ansible:
    """Pipelining, one persistent connection, no facts, no search for Python."""

    def __init__(self, machine, work, folder):
        (folder / "playbook.yaml").write_text(work.playbook())
        (folder / "inventory.ini").write_text(
            f"far ansible_host=127.0.0.1 ansible_port={machine.port} ansible_user={machine.user} "
            f"ansible_ssh_private_key_file={machine.key} ansible_python_interpreter=/usr/bin/python3\n"
        )
        (folder / "ansible.cfg").write_text(
            "[defaults]\nnocolor = True\nretry_files_enabled = False\n"
            f"local_tmp = {folder}/ansible\nremote_tmp = {folder}/ansible-remote\n"
            "[ssh_connection]\npipelining = True\n"
            f"control_path_dir = {folder}/cp\n"
            f"ssh_args = -F /dev/null -o ControlMaster=auto -o ControlPersist=10s -o UserKnownHostsFile={machine.known_hosts}\n"
        )
        self.env = {"ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
        self.command = [installed("ansible-core") / "ansible-playbook", "--check", "-i", folder / "inventory.ini", folder / "playbook.yaml"]

    def run(self):
        seconds, said = timed(self.command, "ansible-playbook --check", self.env)
        items = len(re.findall(r"^ok: \[far\] => \(item=", said, re.M))
        tasks = re.search(r"ok=3 +changed=0 +unreachable=0 +failed=0 +skipped=0", said)
        expect(items == DIRECTORIES + FILES and tasks, "ansible", said)
        return seconds


class Pyinfra:
    def __init__(self, machine, work, folder):
        (folder / "deploy.py").write_text(work.deploy())
        data = {"ssh_hostname": "127.0.0.1", "ssh_port": machine.port, "ssh_user": machine.user, "ssh_key": str(machine.key),
                "ssh_known_hosts_file": str(machine.known_hosts), "ssh_config_file": "/dev/null",
                "ssh_allow_agent": False, "ssh_look_for_keys": False}
        (folder / "inventory.py").write_text(f"far = [('far', {data!r})]\n")
        self.command = [installed("pyinfra") / "pyinfra", "--dry", folder / "inventory.py", folder / "deploy.py"]

    def run(self):
        seconds, said = timed(self.command, "pyinfra --dry")
        said = re.sub(r"\x1b\[[0-9;]*m", "", said)
        operations = re.findall(r"^ +(?:files\.directory|files\.put|apt\.packages) .*?(\S+) +(\S+) *$", said, re.M)
        # One operation for all packages; a dash for no change, a dash for none that may come.
        expect(operations == [("-", "-")] * (DIRECTORIES + FILES + 1), "pyinfra", said)
        return seconds
