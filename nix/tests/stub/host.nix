# This machine's programs, for the stub. tests/nix writes another in its place.
{
  path = throw "tests/nix writes host.nix";
  env = { };
  # Where cargo puts the programs it builds.
  out = "target/debug";
}
