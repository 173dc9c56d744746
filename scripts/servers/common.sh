# What the server scripts share; sourced by them. Linux with util-linux: on other systems run these servers in containers and give
# their addresses.
set -euo pipefail

cache=${LEAKY_SERVER_CACHE:-$HOME/.cache/leaky-tokens}

say() { echo "$*" >&2; }
fail() { say "$*"; exit 1; }

needs() { # needs PROGRAM WHY
  command -v "$1" >/dev/null || fail "$1 is needed $2"
}

# Runs a function while no other process installs the same thing; the second one finds it done.
alone() { # alone NAME FUNCTION
  needs flock "(util-linux)"
  mkdir -p "$cache"
  (
    flock --nonblock 9 || { say "Waiting for another run that installs $1"; flock 9; }
    "$2"
  ) 9>"$cache/.$1.lock"
}

# Jars of one Maven artifact (group:artifact:version ...) and of all it needs at run time, into a folder.
jars() { # jars FOLDER COORDINATES...
  local folder=$1 coordinate group artifact version dependencies=""
  shift
  needs mvn "(Maven, with Java 17) to fetch the server"
  for coordinate; do
    IFS=: read -r group artifact version <<<"$coordinate"
    dependencies+="<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
  done
  rm -rf "$folder"
  mkdir -p "$folder"
  cat >"$folder/pom.xml" <<XML
<project><modelVersion>4.0.0</modelVersion>
<groupId>leaky</groupId><artifactId>server</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>$dependencies</dependencies></project>
XML
  mvn --quiet --batch-mode -Dstyle.color=never -f "$folder/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$folder/lib" >&2
}

# Starts a command in a session of its own, where no Ctrl-C of ours reaches it, and remembers it by name in the folder. With
# LEAKY_SERVER_OWNER=<pid> a watch ends it once that process has gone, however it went.
launch() { # launch FOLDER NAME SIGNAL COMMAND...
  local folder=$1 name=$2 signal=$3
  shift 3
  needs setsid "(util-linux)"
  : >>"$folder/$name.log"
  setsid "$@" >>"$folder/$name.log" 2>&1 </dev/null 9>&- &
  echo "$!" >"$folder/$name.pid"
  [ -z "${LEAKY_SERVER_OWNER:-}" ] || watch "$!" "$signal" >/dev/null 2>&1 </dev/null 9>&- &
}

watch() { # watch PID SIGNAL
  trap '' INT TERM HUP
  exec setsid bash -c '
    server=$1 signal=$2 owner=$3
    while kill -0 "$server"; do
      if ! kill -0 "$owner"; then
        kill -s "$signal" "$server"
        for _ in $(seq 60); do kill -0 "$server" || exit 0; sleep 0.25; done
        kill -s KILL "$server"
      fi
      sleep 0.5
    done' watch "$1" "$2" "$LEAKY_SERVER_OWNER"
}

runs() { # runs FOLDER NAME
  [ -f "$1/$2.pid" ] && kill -0 "$(cat "$1/$2.pid")" 2>/dev/null
}

# Waits until a condition holds; says what the server wrote last when it ends before or takes longer.
await() { # await FOLDER NAME SECONDS CONDITION...
  local folder=$1 name=$2 seconds=$3 began=$SECONDS
  shift 3
  until "$@" 2>/dev/null; do
    if ! runs "$folder" "$name"; then
      say "$name has ended; the end of $folder/$name.log:"
      tail -n 20 "$folder/$name.log" >&2
      return 1
    fi
    if ((SECONDS - began > seconds)); then
      say "$name does not answer after $seconds s; see $folder/$name.log"
      return 1
    fi
    sleep 0.05
  done
}

halt() { # halt FOLDER NAME SIGNAL
  local file=$1/$2.pid pid
  [ -f "$file" ] || return 0
  pid=$(cat "$file")
  kill -s "$3" "$pid" 2>/dev/null || true
  for _ in $(seq 300); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$file"; return 0; }
    sleep 0.05
  done
  kill -s KILL "$pid" 2>/dev/null || true
  rm -f "$file"
}

listens() { # listens PORT
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

absolute() { # absolute FOLDER: made when it is not there
  mkdir -p "$1" && cd "$1" && pwd
}

# The commands that every script has; a script may have handled more of its own before it calls this.
dispatch() { # dispatch ARGUMENTS...
  case "${1:-}" in
    install) install ;;
    start) [ -n "${2:-}" ] || fail "start DIR [PORT]"; start "$(absolute "$2")" "${3:-}" ;;
    stop) [ -n "${2:-}" ] || fail "stop DIR"; stop "$2" ;;
    *) sed -n '/^# /p' "$0" >&2; exit 2 ;;
  esac
}
