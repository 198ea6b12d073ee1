# `pkgs.otr`, for who adds it to an own nixpkgs.
final: _prev: { otr = final.callPackage ./package.nix { }; }
