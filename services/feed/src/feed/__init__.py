"""The feed service: what happens in the catalogue, pushed to every open page, and the page itself."""
