#!/bin/bash
# Python and PHP behind HTTP: gunicorn with processes and with threads, its reload and the exec of a new master that
# inherits the listener; uWSGI; php-fpm behind nginx.
. "$(dirname "$0")/servers.sh"

cat >"$dir/app.py" <<'P'
import hashlib, os
def app(env, start):
    n = int(env.get('CONTENT_LENGTH') or 0)
    body = env['wsgi.input'].read(n) if n else b''
    start('200 OK', [('Content-Type', 'text/plain')])
    return [b'pid %07d sum %s\n' % (os.getpid(), hashlib.md5(body).hexdigest().encode())]
P
random 3000000 "$dir/post"
want=$(sum <"$dir/post")

# served NAME PORT: requests at a time, a large body, more than one process.
served() {
	local url=http://127.0.0.1:$2/
	requests "$1: requests" 1500 -c 8 $url
	same "$1: 3 MB by POST" "$(curl -sS -H "Content-Type: application/octet-stream" --data-binary @"$dir/post" $url | cut -d ' ' -f 4)" "$want"
	same "$1: four at a time" "$(seq 4 | xargs -P 4 -I{} curl -sS -H "Content-Type: application/octet-stream" --data-binary @"$dir/post" $url | cut -d ' ' -f 4 | tally)" "4 $want"
	check "$1: more than one process" several $url
}
several() { [ "$(for _ in $(seq 60); do curl -sS "$1"; done | cut -d ' ' -f 2 | sort -u | wc -l)" -gt 1 ]; }

start gunicorn -p "$dir/pid" -w 3 -b 127.0.0.1:8141 --max-requests 500 app:app
master=$pid
listening 8141
served "gunicorn" 8141
booted() { [ "$(grep -c 'Booting worker' "$log")" -ge "$1" ]; }
kill -HUP $master
hung_up() { grep -q 'Hang up' "$log"; }
check "gunicorn reloads" await hung_up
served "gunicorn after a reload" 8141
kill -USR2 $master
replaced() { [ -s "$dir/pid.2" ] && [ "$(grep -c 'Listening at' "$log")" -ge 2 ]; }
check "a new master inherits the listener" await replaced
successor=$(cat "$dir/pid.2")
servers+=("$successor")
check "the old master stops" stop $master
served "gunicorn's new master" 8141

start gunicorn -w 2 --threads 4 -k gthread -b 127.0.0.1:8142 app:app
listening 8142
served "gunicorn with threads" 8142
requests "gunicorn with threads: keep-alive" 2000 -k -c 8 http://127.0.0.1:8142/

start uwsgi --plugin python3 --http-socket 127.0.0.1:8143 --master --processes 3 --wsgi-file "$dir/app.py" \
	--callable app --disable-logging --die-on-term --max-requests 500
listening 8143
served "uWSGI" 8143

mkdir "$dir/php"
echo '<?php printf("pid %07d sum %s\n", getmypid(), md5(file_get_contents("php://input")));' >"$dir/php/index.php"
cat >"$dir/fpm.conf" <<C
[global]
error_log = $dir/fpm.log
daemonize = no
[www]
user = nobody
group = nogroup
listen = 127.0.0.1:8144
pm = dynamic
pm.max_children = 4
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
pm.max_requests = 200
C
cat >"$dir/nginx.conf" <<C
user nobody nogroup; daemon off; pid $dir/nginx.pid; error_log $dir/nginx.err;
events {}
http {
	access_log off; client_max_body_size 10m;
	client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
	server {
		listen 127.0.0.1:8145;
		location / { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $dir/php/index.php; fastcgi_pass 127.0.0.1:8144; }
	}
}
C
install -d -m 777 "$dir/tmp"
start php-fpm8.2 -n -d sys_temp_dir="$dir/tmp" -y "$dir/fpm.conf"
listening 8144
start nginx -e "$dir/nginx.err" -c "$dir/nginx.conf"
listening 8145
served "nginx and php-fpm" 8145
done_serving
