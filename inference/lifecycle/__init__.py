"""One daemon per user, build, engine and model: where it lives, who may talk to it, how it begins and ends."""
