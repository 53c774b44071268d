#!/bin/bash
# Apache with each of its models of processes: accept in forked children and in threads, CGI programs that are
# started with an environment of their own, graceful restarts under load.
. "$(dirname "$0")/servers.sh"

mkdir "$dir/html" "$dir/cgi"
head -c 1024 /dev/zero | tr '\0' a >"$dir/html/small"
random 10485760 "$dir/html/large"
large=$(sum <"$dir/html/large")
cat >"$dir/cgi/pid" <<'C'
#!/bin/sh
printf 'Content-Type: text/plain\n\nhello from %07d\n' $$
C
cat >"$dir/cgi/sum" <<'C'
#!/bin/sh
printf 'Content-Type: text/plain\n\n'
md5sum | cut -c 1-32
C
chmod 755 "$dir"/cgi/*
head -c 300000 "$dir/html/large" >"$dir/post"
modules=/usr/lib/apache2/modules

serve() { # MODEL
	cat >"$dir/$1.conf" <<C
ServerRoot $dir
ServerName localhost
PidFile $dir/$1.pid
Listen 127.0.0.1:8091
LoadModule mpm_$1_module $modules/mod_mpm_$1.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule alias_module $modules/mod_alias.so
LoadModule cgi_module $modules/mod_cgi.so
LoadModule mime_module $modules/mod_mime.so
User nobody
Group nogroup
TypesConfig /dev/null
ErrorLog $dir/$1.err
DocumentRoot $dir/html
ScriptAlias /cgi/ $dir/cgi/
EnableSendfile On
StartServers 3
MaxConnectionsPerChild $2
MaxKeepAliveRequests 0
<Directory />
Require all granted
</Directory>
C
	start setsid apache2 -f "$dir/$1.conf" -DFOREGROUND # it signals its process group
	listening 8091
}

model() { # NAME CONNECTIONS-FOR-EACH-CHILD
	local m=$1 url=http://127.0.0.1:8091 during
	serve "$m" "$2"
	requests "$m: keep-alive" 5000 -k -c 16 $url/small
	requests "$m: a connection for each request" 2000 -c 16 $url/small
	requests "$m: CGI" 100 -c 4 $url/cgi/pid
	same "$m: a body for CGI" "$(curl -sS --data-binary @"$dir/post" $url/cgi/sum)" "$(sum <"$dir/post")"
	downloads "$m: 10 MB, four at a time" 4 $url/large "$large"
	requests "$m: requests during graceful restarts" 3000 -c 8 $url/small >"$dir/during" &
	during=$!
	resumed() { [ "$(grep -c 'resuming normal operations' "$dir/$m.err")" -ge "$1" ]; }
	await resumed 1
	kill -USR1 "$pid"
	await resumed 2
	kill -USR1 "$pid"
	check "$m: two graceful restarts" await resumed 3
	wait $during
	cat "$dir/during"
	requests "$m: requests after them" 2000 -k -c 16 $url/small
	check "$m: stops" stop "$pid"
}
model prefork 100
model worker 0
model event 0
done_serving
