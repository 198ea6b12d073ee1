# The program, its completions and its man pages. In nixpkgs' by-name style, so that it can be
# sent there as it is.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  pkg-config,
  openssl,
}:
let
  manifest = lib.importTOML ../Cargo.toml;
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../specs # one of them is the demo's
      ../src
      ../templates
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;
  # OpenSSL from nixpkgs, which mends it, in place of the one built in.
  buildNoDefaultFeatures = true;

  strictDeps = true;
  nativeBuildInputs = [
    installShellFiles
    pkg-config
  ];
  buildInputs = [ openssl ];

  # tests/run passes the tests: they need an sshd and users that a builder has not.
  doCheck = false;

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      $out/bin/otr completions $shell > otr.$shell
    done
    installShellCompletion --cmd otr --bash otr.bash --fish otr.fish --zsh otr.zsh
    $out/bin/otr man man
    installManPage man/*.1
  '';

  meta = {
    inherit (manifest.package) description;
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "otr";
    platforms = lib.platforms.linux;
  };
}
