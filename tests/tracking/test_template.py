"""The shared fixtures keep what they promise."""

import sqlite3


def test_each_test_gets_its_own_empty_migrated_database(tracking_uri, tmp_path):
    path = tracking_uri.removeprefix("sqlite:///")
    assert path.startswith(str(tmp_path))
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, artifact_location FROM experiments")
    assert rows.fetchall() == [("Default", f"{tmp_path}/mlflow-test/mlruns/0")]
    connection.close()
