"""Release slots: releases beside each other, and the link to the one that a start loads."""
