# What the tables of signatures share: keys in /srv/keys, an upstream in $GIT_DIR, and ways to forge.
set -e
export HOME=/srv/keys GNUPGHOME=/srv/keys/gnupg GIT_DIR=/srv/git/app.git GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
export GIT_AUTHOR_NAME=Up GIT_AUTHOR_EMAIL=up@example.org GIT_COMMITTER_NAME=Up GIT_COMMITTER_EMAIL=up@example.org
export LC_ALL=C GIT_INDEX_FILE=/srv/keys/index

# A tree of release $2 after commit $1.
tree() {
  git read-tree "$1"
  blob=$(echo "$2" | git hash-object -w --stdin)
  for component in manager runner; do git update-index --add --cacheinfo "100644,$blob,$component/VERSION"; done
  git write-tree
}
# commit PARENT VERSION [KEY] [MORE ARGUMENTS]: a commit after PARENT, signed where there is a key.
commit() {
  made=$(tree "$1" "$2"); parent=$1; version=$2; key=${3:-}; shift; shift; [ $# = 0 ] || shift
  if [ -n "$key" ]; then
    git -c gpg.format=ssh -c user.signingkey="$HOME/$key" commit-tree -S "$made" -p "$parent" "$@" -m "release $version"
  else
    git commit-tree "$made" -p "$parent" "$@" -m "release $version"
  fi
}
# tag NAME COMMIT KEY: an annotated tag, signed by an SSH key.
tag() { git -c gpg.format=ssh -c user.signingkey="$HOME/$3" tag -f -s -m "$1" "$1" "$2" >/dev/null; }
# pgp NAME COMMIT KEY: the same by an OpenPGP key.
pgp() { git -c gpg.format=openpgp -c gpg.program=gpg -c user.signingkey="$3" tag -f -s -m "$1" "$1" "$2" >/dev/null; }
# payload NAME COMMIT [TYPE]: what is signed of a tag.
payload() { printf 'object %s\ntype %s\ntag %s\ntagger Up <up@example.org> 1790000000 +0000\n\n%s\n' "$2" "${3:-commit}" "$1" "$1"; }
# sign KEY [NAMESPACE]: the signature of what is read.
sign() { cat >/srv/keys/data; rm -f /srv/keys/data.sig; ssh-keygen -q -Y sign -n "${2:-git}" -f "$HOME/$1" /srv/keys/data 2>/dev/null </dev/null; cat /srv/keys/data.sig; }
# forge NAME: a tag of exactly the bytes that are read.
forge() { git update-ref "refs/tags/$1" "$(git hash-object -t tag -w --literally --stdin)"; }

# Once: keys, whom the host trusts, and a bare repository to begin from.
prepare() {
  mkdir -p /srv/keys && chmod 700 /srv/keys && mkdir -p -m 700 "$GNUPGHOME"
  for key in good stranger expired future filer revoked ca member; do ssh-keygen -q -t ed25519 -N '' -C "$key" -f "$HOME/$key"; done
  ssh-keygen -q -s "$HOME/ca" -I id -n mallory@example.org "$HOME/member.pub"
  public() { cut -d' ' -f1,2 "$HOME/$1.pub"; }
  {
    echo "release@example.org $(public good)"
    echo "old@example.org valid-before=\"20200101\" $(public expired)"
    echo "new@example.org valid-after=\"20990101\" $(public future)"
    echo "files@example.org namespaces=\"file\" $(public filer)"
    echo "gone@example.org $(public revoked)"
    echo "member@example.org cert-authority $(public ca)"
  } >/etc/relift/app.signers
  ssh-keygen -q -k -f /etc/relift/app.krl "$HOME/revoked.pub"
  quick() { gpg -q --batch --pinentry-mode loopback --passphrase '' "$@" 2>/dev/null; }
  quick --quick-gen-key good@pgp ed25519 sign 0
  quick --faked-system-time 20200101T000000 --quick-gen-key expired@pgp ed25519 sign 2020-06-01
  quick --quick-gen-key revoked@pgp ed25519 sign 0
  quick --quick-gen-key split@pgp ed25519 cert 0
  print() { gpg -q --batch --with-colons --list-keys "$1" | awk -F: '$1 == "fpr" { print $10 }'; }
  quick --quick-add-key "$(print split@pgp | head -n 1)" ed25519 sign 0
  quick --quick-add-key "$(print split@pgp | head -n 1)" ed25519 sign 0
  quick --quick-gen-key absent@pgp ed25519 sign 0
  print split@pgp >/srv/keys/split
  sed 's/^:-----/-----/' "$GNUPGHOME/openpgp-revocs.d/$(print revoked@pgp).rev" >/srv/keys/revocation
  cp -a "$GNUPGHOME" /srv/keys/signing
  quick --import /srv/keys/revocation
  gpg -q --batch --export good@pgp expired@pgp split@pgp revoked@pgp >/etc/relift/app.gpg
  # What was revoked can still sign for whoever has the key.
  gpgconf --kill all; rm -rf "$GNUPGHOME"; mv /srv/keys/signing "$GNUPGHOME"
  print good@pgp | head -n 1 >/srv/keys/good.fingerprint
  tag v1.0.1 main good
  cp -a /srv/git/app.git /srv/git/base.git
}
# Before each input: upstream as it was, and where it begins.
again() { rm -rf "$GIT_DIR"; cp -a /srv/git/base.git "$GIT_DIR"; base=$(git rev-parse main); }
