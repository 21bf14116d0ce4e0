# What the scripts of this folder share; they read it.

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# Install packages of the system. A machine that has just started may still be installing its own updates.
install_packages() {
    command -v apt-get >/dev/null || { echo "error: not installed: $*" >&2; return 1; }
    as_root apt-get -o DPkg::Lock::Timeout=300 update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"
}
