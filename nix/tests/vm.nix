# A NixOS machine with services.otr, booted: the timers stand, and otr looks from inside its
# sandbox. Part of `nix flake check` where nixpkgs is the real one and the machine has KVM.
{ pkgs, self }:
pkgs.testers.runNixOSTest {
  name = "otr";
  nodes.erp2 = {
    imports = [ self.nixosModules.default ];
    services.otr = {
      enable = true;
      host = "erp2";
      settings = self.lib.otr.mkSpec [
        {
          name = "acme";
          production = "erp1";
          hosts.erp1 = {
            address = "192.0.2.11";
            access = "observe";
          };
        }
        {
          hosts.erp2.address = "local";
          files = [
            {
              path = "/var/lib/otr-test";
              content = "secret of {{ host.name }}\n";
            }
          ];
        }
      ];
      plan.enable = true;
      sync.enable = true;
    };
  };
  testScript = ''
    erp2.wait_for_unit("timers.target")
    erp2.succeed("systemctl list-timers --all | grep otr-plan.timer")
    erp2.succeed("systemctl list-timers --all | grep otr-sync.timer")
    erp2.succeed("otr check /etc/otr/spec.yaml")
    # erp1 cannot be reached from here: the run fails, and says so.
    erp2.fail("systemctl start otr-plan.service")
    erp2.succeed("journalctl -u otr-plan.service | grep -F unreachable")
    erp2.succeed("journalctl -u otr-plan.service | grep -F /var/lib/otr-test")
    erp2.succeed("man -w otr")
  '';
}
