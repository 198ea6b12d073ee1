# A stand-in for nixpkgs, for machines that have nix and cargo but reach no binary cache.
#
# It has what otr's flake uses and rejects what it does not know. Programs and libraries come
# from the machine, so it needs `sandbox = false`. tests/nix writes host.nix beside this file.
{
  outputs =
    _:
    let
      plain = import ./lib.nix;
      lib = plain // {
        nixosSystem = import ./nixos.nix { inherit lib legacyPackages; };
      };
      legacyPackages = plain.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
        system: import ./pkgs.nix { inherit lib system; }
      );
    in
    {
      inherit lib legacyPackages;
    };
}
