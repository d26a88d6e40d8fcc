"""What newleaf hands to the machine's service manager: a plan of files, made from settings and facts."""
