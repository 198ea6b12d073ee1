# `nix develop`: what building and testing otr takes.
{
  mkShell,
  otr,
  cargo,
  clippy,
  just,
  openssh,
  rust-analyzer,
  rustc,
  rustfmt,
}:
mkShell {
  inputsFrom = [ otr ];
  packages = [
    cargo
    clippy
    just
    openssh
    rust-analyzer
    rustc
    rustfmt
  ];
}
