"""The work: 200 things that hold already, and the same 200 written for each tool.

100 directories and 80 files, each with owner, group and mode, the files with their content; and
20 packages. The packages stand in one list, in each tool's own fastest form, and count as 20.
"""

import grp
import json
import os
import pwd
import subprocess

DIRECTORIES, FILES, PACKAGES = 100, 80, 20
CHECKS = DIRECTORIES + FILES + PACKAGES


class Work:
    def __init__(self, folder):
        self.folder = folder
        self.owner, self.group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        root = folder / "tree"
        self.directories = [(root / f"d{n:03}", ("0755", "0750", "0700")[n % 3]) for n in range(DIRECTORIES)]
        self.files = [
            (self.directories[n][0] / f"f{n:03}.conf", ("0644", "0640", "0600")[n % 3], f"# file {n}\n" + f"option_{n} = {n}\n" * 12)
            for n in range(FILES)
        ]
        query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Essential} ${Priority} ${Package}\n"]
        lines = sorted(line.split() for line in subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines())
        there = [line[-1] for line in lines if line[0] == "installed" and line[2] in ("required", "important")]
        self.packages = there[:PACKAGES]
        assert len(self.packages) == PACKAGES, f"only {len(self.packages)} packages of priority required or important"

    def make(self):
        (self.folder / "tree").mkdir()
        for path, mode in self.directories:
            path.mkdir()
            path.chmod(int(mode, 8))
        for path, mode, text in self.files:
            path.write_text(text)
            path.chmod(int(mode, 8))

    def spec(self, machine):
        """For otr. JSON is YAML."""
        about = {"owner": self.owner, "group": self.group}
        entries = [{"path": str(path), "directory": True, "mode": mode, **about} for path, mode in self.directories]
        entries += [{"path": str(path), "content": text, "mode": mode, **about} for path, mode, text in self.files]
        ssh = {"identity": str(machine.key), "known_hosts": str(machine.known_hosts), "config": "/dev/null"}
        host = {"address": "127.0.0.1", "port": machine.port, "user": machine.user, "ssh": ssh}
        spec = {"version": 1, "name": "bench", "production": "far", "hosts": {"far": host},
                "packages": {"install": self.packages}, "files": entries}
        return json.dumps(spec, indent=1)

    def playbook(self):
        """For Ansible: one task each kind, a loop inside. JSON is YAML here too."""
        about = {"owner": self.owner, "group": self.group}
        item = {"path": "{{ item.path }}", "mode": "{{ item.mode }}", **about}
        copy = {"dest": "{{ item.path }}", "content": "{{ item.content }}", "mode": "{{ item.mode }}", **about}
        label = {"loop_control": {"label": "{{ item.path }}"}}
        tasks = [
            {"name": "directories", "ansible.builtin.file": {"state": "directory", **item},
             "loop": [{"path": str(path), "mode": mode} for path, mode in self.directories], **label},
            {"name": "files", "ansible.builtin.copy": copy,
             "loop": [{"path": str(path), "mode": mode, "content": text} for path, mode, text in self.files], **label},
            {"name": "packages", "ansible.builtin.apt": {"name": self.packages, "state": "present"}},
        ]
        return json.dumps([{"hosts": "far", "gather_facts": False, "tasks": tasks}], indent=1)

    def deploy(self):
        """For pyinfra."""
        directories = [(str(path), mode) for path, mode in self.directories]
        files = [(str(path), mode, text) for path, mode, text in self.files]
        return (
            "from io import StringIO\nfrom pyinfra.operations import apt, files\n"
            f"about = {{'user': {self.owner!r}, 'group': {self.group!r}}}\n"
            f"for path, mode in {directories!r}:\n    files.directory(path=path, mode=mode, **about)\n"
            f"for path, mode, text in {files!r}:\n    files.put(src=StringIO(text), dest=path, mode=mode, **about)\n"
            f"apt.packages(packages={self.packages!r})\n"
        )
