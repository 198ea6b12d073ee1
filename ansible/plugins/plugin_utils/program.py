"""Runs otr on a target: its arguments on standard input, one session where it is there already.

The program lies in a folder of the user that runs the task, in a file named by its own SHA-256,
so an older or a damaged one is never run in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex

from ansible.errors import AnsibleActionFail

BIN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bin")
# What the target prints where it has not the program yet.
ABSENT = "otr is absent:"
DIGESTS: dict[tuple[str, int, int], str] = {}


def programs(folder):
    """Architecture -> path and SHA-256 of each otr in a folder of the controller."""
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if not name.startswith("otr-"):
            continue
        path = os.path.join(folder, name)
        about = os.stat(path)
        key = (path, about.st_mtime_ns, about.st_size)
        if key not in DIGESTS:
            with open(path, "rb") as program:
                DIGESTS[key] = hashlib.sha256(program.read()).hexdigest()
        found[name[len("otr-"):]] = (path, DIGESTS[key])
    return found


class Target:
    """One machine, through an action plugin."""

    def __init__(self, action, task_vars):
        self.action = action
        # A variable of a task comes as it is written.
        folder = action._templar.template(task_vars.get("otr_bin")) or BIN
        self.programs = programs(str(folder))
        if not self.programs:
            raise AnsibleActionFail(
                f"there is no otr for any machine in {folder}: put one there as otr-x86_64, or name its folder in `otr_bin`"
            )

    def _script(self, then):
        """Shell that finds the program, or says what machine it is on; then runs `then`."""
        cases = " ".join(f"{machine}) s={digest};;" for machine, (_path, digest) in self.programs.items())
        return (
            f's=; m=$(uname -m); case $m in {cases} esac; d="${{XDG_CACHE_HOME:-$HOME/.cache}}/otr"; f="$d/$s"; '
            f'[ -n "$s" ] && [ -x "$f" ] || {{ echo {shlex.quote(ABSENT)} "$m" "$d"; exit 0; }}; {then}'
        )

    def run(self, arguments):
        """otr's answer. The arguments may hold secrets: they go to standard input alone."""
        said = self._ask('exec "$f" ansible', arguments)
        if said.startswith(ABSENT):
            self._install(said)
            said = self._ask('exec "$f" ansible', arguments)
        return parse(said)

    def path(self):
        """Where the program is on the target; it is put there if it must be."""
        said = self._ask('echo "$f"', {})
        if said.startswith(ABSENT):
            self._install(said)
            said = self._ask('echo "$f"', {})
        return said.strip()

    def _ask(self, then, arguments):
        text = json.dumps(arguments, default=str)
        command = "/bin/sh -c " + shlex.quote(self._script(then))
        result = self.action._low_level_execute_command(command, in_data=text.encode(), sudoable=True)
        said = result.get("stdout", "")
        for line in said.splitlines():
            # A login may greet; what otr says stands on one line.
            if line.startswith(("{", ABSENT, "/")):
                return line
        raise AnsibleActionFail(
            f"otr gave no answer (exit status {result.get('rc')}): {(result.get('stderr') or said).strip()[-2000:]}"
        )

    def _install(self, said):
        machine, folder = said[len(ABSENT):].strip().split(" ", 1)
        if machine not in self.programs:
            raise AnsibleActionFail(
                f"there is no otr for {machine}, only for {', '.join(self.programs)}: put one beside them as otr-{machine}"
            )
        path, digest = self.programs[machine]
        action = self.action
        connection = action._connection
        if not connection._shell.tmpdir:
            action._make_tmp_path()
        part = connection._shell.join_path(connection._shell.tmpdir, digest)
        action._transfer_file(path, part)
        action._fixup_perms2((connection._shell.tmpdir, part))
        quoted, final = shlex.quote(folder), shlex.quote(f"{folder}/{digest}")
        # Beside its place, then renamed: nobody runs half a program. What no task used for 30 days goes.
        script = (
            f'umask 077; mkdir -p {quoted} && cp {shlex.quote(part)} {final}.$$ && chmod 700 {final}.$$ && '
            f'echo "{digest}  {folder}/{digest}.$$" | sha256sum -c >/dev/null && mv {final}.$$ {final} && '
            f'find {quoted} -type f ! -name {digest} -atime +30 -exec rm -f {{}} +; [ -x {final} ] && echo /'
        )
        result = action._low_level_execute_command("/bin/sh -c " + shlex.quote(script), sudoable=True)
        action._remove_tmp_path(connection._shell.tmpdir)
        if "/" not in result.get("stdout", "").split():
            raise AnsibleActionFail(f"otr cannot be put into {folder}: {result.get('stderr') or result.get('stdout')}")


def parse(line):
    try:
        return json.loads(line)
    except ValueError as error:
        raise AnsibleActionFail(f"otr's answer cannot be read: {error}: {line[:500]}") from error
