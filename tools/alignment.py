"""Two lists of words side by side; for the scripts that ask where and when words are right."""
import subprocess


def align(reference, words):
    """Least number of edits, and the pairs that are right: [(index in reference, index in words)]."""
    n, m = len(reference), len(words)
    cost = [[i + j if not i or not j else 0 for j in range(m + 1)] for i in range(n + 1)]
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            wrong = reference[i - 1] != words[j - 1]
            cost[i][j] = min(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + wrong)
    right, i, j = [], n, m
    while i and j:
        wrong = reference[i - 1] != words[j - 1]
        if cost[i][j] == cost[i - 1][j - 1] + wrong:
            i, j = i - 1, j - 1
            right += [] if wrong else [(i, j)]
        elif cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return cost[n][m], right


def duration(path):
    """Of a media file, in seconds (ffprobe)."""
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path]
    return float(subprocess.check_output(command))
