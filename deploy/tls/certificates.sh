#!/bin/sh
# Creates the certificates of docker-compose.tls.yml, in the folder `certificates` beside this file:
# an authority for these servers only, if there is none yet, and new certificates for a year. Without
# arguments they are those of `redis` and `db`; names of other hosts or clients may be given.
#
#   sh deploy/tls/certificates.sh
#
# Then recreate the containers: `docker compose … up -d --force-recreate redis db`.
set -eu

folder=${TLS_FOLDER:-$(dirname "$0")/certificates}
mkdir -p "$folder"
# The users of the containers differ from yours, so they could not read a key that is yours only. The
# folder keeps other users of this machine from the keys in it.
chmod 700 "$folder"
cd "$folder"

new_key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

if [ ! -f ca.pem ]; then
  new_key ca
  chmod 600 ca.key
  cat > ca.cnf <<CNF
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = pyportal
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CNF
  openssl req -x509 -new -config ca.cnf -key ca.key -days 3650 -sha256 -out ca.pem
  chmod 644 ca.pem
fi

[ $# -gt 0 ] || set -- redis db
for name in "$@"; do
  new_key "$name.new"
  cat > "$name.cnf" <<CNF
[req]
distinguished_name = name
prompt = no
[name]
CN = $name
[host]
subjectAltName = DNS:$name, DNS:localhost, IP:127.0.0.1
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CNF
  openssl req -new -config "$name.cnf" -key "$name.new.key" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -sha256 \
      -extfile "$name.cnf" -extensions host -out "$name.new.pem"
  chmod 644 "$name.new.pem" "$name.new.key"
  mv "$name.new.key" "$name.key"
  mv "$name.new.pem" "$name.pem"
  rm "$name.cnf"
done
rm -f ca.cnf
