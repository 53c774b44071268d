#!/bin/bash
# Super-servers: fork, dup2 to 0, 1 and 2, exec; a listener that a program inherits.
. "$(dirname "$0")/servers.sh"

cat >"$dir/conf" <<C
127.0.0.1:8111 stream tcp nowait root /bin/cat cat
127.0.0.1:8112 stream tcp nowait root /usr/bin/md5sum md5sum
127.0.0.1:8113 stream tcp nowait root /bin/sed sed -u s/^/inetd:/
127.0.0.1:8114 stream tcp nowait root /usr/bin/perl perl -ne print(length,qq(\n))
127.0.0.1:8115 stream tcp wait root /usr/bin/python3 python3 $dir/waited.py
C
cat >"$dir/waited.py" <<'P'
import socket
c, _ = socket.socket(fileno=0).accept()
with c, c.makefile('rb') as f:
    c.sendall(f.read())
P
start inetd -i "$dir/conf"
listening 8111 8112 8113 8114 8115
random 5000000 "$dir/file"
want=$(sum <"$dir/file")

ask() { timeout $limit nc.openbsd -N 127.0.0.1 "$1"; }
answers "inetd: cat" 50 8111 ''
answers "inetd: sed" 20 8113 inetd:
same "inetd: md5sum" "$(ask 8112 <"$dir/file" | cut -c 1-32)" "$want"
same "inetd: perl" "$(seq 1 3 | ask 8114)" "$(printf '2\n2\n2')"
same "inetd: 5 MB through cat" "$(ask 8111 <"$dir/file" | sum)" "$want"
same "inetd: a program that accepts" "$(echo once | ask 8115) $(echo twice | ask 8115)" "once twice"

start tcpserver -H -R -l0 127.0.0.1 8121 sh -c 'read l; echo "ucspi:$TCPREMOTEIP:$l"'
listening 8121
answers "tcpserver" 30 8121 ucspi:127.0.0.1:
same "tcpclient" "$(timeout $limit tcpclient -RHl0 127.0.0.1 8121 sh -c 'echo by-tcpclient >&7; cat <&6')" ucspi:127.0.0.1:by-tcpclient

activate() { start systemd-socket-activate -E PATH -E LD_PRELOAD -E SDIRECT_SOCKET "$@"; }
activate -l 127.0.0.1:8123 --accept --inetd /bin/cat
listening 8123
answers "socket-activate: each connection" 20 8123 ''
same "socket-activate: 5 MB through cat" "$(ask 8123 <"$dir/file" | sum)" "$want"
cat >"$dir/listener.py" <<'P'
import os, socket
assert os.environ['LISTEN_FDS'] == '1'
l = socket.socket(fileno=3)
for _ in range(3):
    c, _ = l.accept()
    with c, c.makefile('rb') as f:
        for line in f:
            c.sendall(b'listener:' + line)
P
activate -l 127.0.0.1:8124 /usr/bin/python3 "$dir/listener.py"
listening 8124
same "socket-activate: the listener" "$(echo one | ask 8124) $(seq 3 | ask 8124 | tr '\n' ' ')" "listener:one listener:1 listener:2 listener:3 "
same "socket-activate: a line of 6 MB" "$(base64 -w 0 "$dir/file" | ask 8124 | sum)" "$( (printf listener: && base64 -w 0 "$dir/file") | sum)"
done_serving
