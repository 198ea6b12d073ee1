"""Parameters that all modules share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  spec:
    description:
      - The spec, either the absolute path of a file on the target, or the spec itself as a mapping.
      - C(/etc/otr/spec.yaml) if neither this nor I(spec_file) is given.
    type: raw
  spec_file:
    description:
      - The spec as a file on the controller. Its templates, if it has any, must be on the target.
    type: path
  host:
    description:
      - The host of the spec that the target is.
      - The target's name in the inventory if the spec has such a host; else the one whose
        address is C(local), or the target's own hostname.
    type: str
  accept_new:
    description:
      - Learn the SSH keys of other hosts of the spec that the target has never seen.
    type: bool
    default: false
notes:
  - Other hosts of the spec are reached from the target, with its own SSH keys, and only where a
    resource asks about them.
  - No Python is needed on the target, but for a task with C(async).
author:
  - the otr contributors (!UNKNOWN)
"""
