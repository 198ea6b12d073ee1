{
  description = "otr: a standby you can trust";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      own = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system}.default;
    in
    {
      overlays.default = import ./nix/overlay.nix;

      packages = forEach (pkgs: rec {
        otr = pkgs.callPackage ./nix/package.nix { };
        default = otr;
      });

      apps = forEach (pkgs: rec {
        otr = {
          type = "app";
          program = lib.getExe (own pkgs);
          meta.description = "Compare, repair and promote the machines of an Odoo";
        };
        default = otr;
      });

      devShells = forEach (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix { otr = own pkgs; };
      });

      lib.otr = import ./nix/lib.nix { inherit lib; };

      nixosModules.otr = import ./nix/module.nix { inherit self; };
      nixosModules.default = self.nixosModules.otr;

      checks = forEach (
        pkgs:
        {
          package = own pkgs;
          module = import ./nix/tests/module-eval.nix { inherit nixpkgs pkgs self; };
          specs = pkgs.runCommand "otr-specs" { nativeBuildInputs = [ (own pkgs) ]; } ''
            otr check ${./specs}/*.yaml | tee $out
          '';
        }
        # Boots a machine, which takes KVM.
        // lib.optionalAttrs (pkgs ? testers) {
          vm = import ./nix/tests/vm.nix { inherit pkgs self; };
        }
      );

      formatter = forEach (pkgs: pkgs.nixfmt);
    };
}
