"""Programs and forks, which gevent's patch would have stop or divide the process."""
