# legacyPackages: derivations that use this machine's bash, coreutils, cargo and cc.
{ lib, system }:
let
  host = import ./host.nix;

  mkDerivation =
    attributes:
    derivation (
      {
        name = attributes.name or "${attributes.pname}-${attributes.version}";
        inherit system;
        builder = "/bin/bash";
        args = [
          "-euo"
          "pipefail"
          "-c"
          attributes.buildCommand
        ];
        PATH = lib.concatStringsSep ":" (
          map (input: "${input}/bin") (attributes.nativeBuildInputs or [ ]) ++ [ host.path ]
        );
      }
      // attributes.env or { }
    )
    // {
      inherit (attributes) meta;
    };

  runCommand =
    name: attributes: buildCommand:
    mkDerivation {
      inherit name buildCommand;
      nativeBuildInputs = attributes.nativeBuildInputs or [ ];
      env = removeAttrs attributes [ "nativeBuildInputs" ];
      meta = { };
    };

  # What nixpkgs would build and the machine has already.
  fromHost =
    name:
    runCommand name { } "mkdir $out"
    // {
      meta.mainProgram = name;
    };

  buildRustPackage =
    {
      pname,
      version,
      src,
      cargoLock,
      meta,
      buildNoDefaultFeatures ? false,
      strictDeps ? false,
      nativeBuildInputs ? [ ],
      buildInputs ? [ ],
      doCheck ? true,
      postInstall ? "",
    }:
    let
      fromGit = lib.filter (
        package: lib.hasPrefix "git+" (package.source or "")
      ) (lib.importTOML cargoLock.lockFile).package;
    in
    assert lib.assertMsg (fromGit == [ ]) "cargoLock.outputHashes are missing";
    mkDerivation {
      inherit pname version meta;
      inherit (host) env;
      buildCommand = ''
        export HOME=$TMPDIR
        cp -r ${src} src
        chmod -R u+w src
        cd src
        cmp Cargo.lock ${cargoLock.lockFile}
        # Without optimisation, for that takes most of the time; and what it depends on may be built
        # already.
        cargo build --frozen ${lib.optionalString buildNoDefaultFeatures "--no-default-features"}
        mkdir -p $out/bin
        find ${host.out} -maxdepth 1 -type f -executable -name ${meta.mainProgram} \
          -exec install -m755 -t $out/bin {} +
        installShellCompletion() { # --cmd NAME --SHELL FILE…
          local cmd=$2
          shift 2
          while [ $# -gt 0 ]; do
            case $1 in
              --bash) install -Dm644 "$2" $out/share/bash-completion/completions/$cmd.bash ;;
              --fish) install -Dm644 "$2" $out/share/fish/vendor_completions.d/$cmd.fish ;;
              --zsh) install -Dm644 "$2" $out/share/zsh/site-functions/_$cmd ;;
              *) echo "installShellCompletion: $1?" >&2; return 1 ;;
            esac
            shift 2
          done
        }
        installManPage() {
          local page
          for page; do install -Dm644 "$page" $out/share/man/man''${page##*.}/''${page##*/}; done
        }
        ${postInstall}
      '';
    };

  platform = {
    inherit system;
    canExecute = other: other.system == system;
  };

  pkgs = {
    inherit lib runCommand;
    stdenv = {
      buildPlatform = platform;
      hostPlatform = platform;
    };
    callPackage = lib.callPackageWith pkgs;
    rustPlatform = { inherit buildRustPackage; };
    mkShell =
      {
        inputsFrom ? [ ],
        packages ? [ ],
      }:
      runCommand "nix-shell" { inherit inputsFrom packages; } "mkdir $out";
    formats.yaml = _: {
      type = lib.types.yaml;
      # JSON is YAML.
      generate =
        name: value: runCommand name { text = builtins.toJSON value; } ''printf %s "$text" > $out'';
    };
  }
  // lib.genAttrs [
    "cargo"
    "clippy"
    "installShellFiles"
    "just"
    "nixfmt"
    "openssh"
    "openssl"
    "pkg-config"
    "rust-analyzer"
    "rustc"
    "rustfmt"
  ] fromHost;
in
pkgs
