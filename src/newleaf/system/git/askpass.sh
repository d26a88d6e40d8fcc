#!/bin/sh
# Answers git's questions for a user name and a password, for one host alone, from the token file.
# Anything else (another host after a redirect, a proxy, a key's passphrase) gets no answer.
case "$1" in
"Username for '$NEWLEAF_TOKEN_HOST': ")
    printf '%s\n' "$NEWLEAF_TOKEN_USER" ;;
"Password for '${NEWLEAF_TOKEN_HOST%%://*}://$NEWLEAF_TOKEN_USER@${NEWLEAF_TOKEN_HOST#*://}': ")
    IFS= read -r token < "$NEWLEAF_TOKEN_FILE" || [ -n "$token" ] || exit 1
    printf '%s\n' "$token" ;;
*)
    exit 1 ;;
esac
