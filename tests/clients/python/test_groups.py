"""Groups: made, changed, listed, joined and left with boto3, and what tokens say of them."""

import datetime

import pytest

from support import claims, refused, unique

ADMIN = "arn:aws:iam::123456789012:role/admin"
READER = "arn:aws:iam::123456789012:role/reader"
NOT_FOUND = ("ResourceNotFoundException", "Group not found.")


@pytest.fixture
def make_group(idp, pool):
    """Makes a group of the shared pool and answers its name."""

    def make(**settings) -> str:
        name = unique("group")
        idp.create_group(UserPoolId=pool.id, GroupName=name, **settings)
        return name

    return make


def join(idp, user, *groups: str):
    for group in groups:
        idp.admin_add_user_to_group(**user.named(), GroupName=group)


# --- the groups ---


def test_a_group_is_given_back_as_it_was_made(idp, pool):
    name = unique("admins")
    made = idp.create_group(UserPoolId=pool.id, GroupName=name, Description="May do all", RoleArn=ADMIN, Precedence=0)
    group = made["Group"]
    assert isinstance(group["CreationDate"], datetime.datetime)
    assert isinstance(group["LastModifiedDate"], datetime.datetime)
    shown = {member: group[member] for member in ("GroupName", "UserPoolId", "Description", "RoleArn", "Precedence")}
    assert shown == {
        "GroupName": name,
        "UserPoolId": pool.id,
        "Description": "May do all",
        "RoleArn": ADMIN,
        "Precedence": 0,
    }
    assert idp.get_group(UserPoolId=pool.id, GroupName=name)["Group"] == group


def test_a_group_that_exists_is_not_made_again(idp, pool, make_group):
    with refused("GroupExistsException", "A group with the name already exists."):
        idp.create_group(UserPoolId=pool.id, GroupName=make_group())


def test_an_update_keeps_what_it_does_not_name(idp, pool, make_group):
    name = make_group(Description="Readers", RoleArn=READER, Precedence=7)
    changed = idp.update_group(UserPoolId=pool.id, GroupName=name, Precedence=3)["Group"]
    assert (changed["Description"], changed["RoleArn"], changed["Precedence"]) == ("Readers", READER, 3)


def test_a_group_that_does_not_exist_is_told(idp, pool, ann):
    nobody = {"UserPoolId": pool.id, "GroupName": unique("nobody")}
    for operation in (idp.get_group, idp.update_group, idp.delete_group, idp.list_users_in_group):
        with refused(*NOT_FOUND):
            operation(**nobody)
    for operation in (idp.admin_add_user_to_group, idp.admin_remove_user_from_group):
        with refused(*NOT_FOUND):
            operation(Username=ann.username, **nobody)


def test_a_name_with_a_space_is_refused(idp, pool):
    with refused("InvalidParameterException"):
        idp.create_group(UserPoolId=pool.id, GroupName="two words")


def test_all_groups_come_page_by_page(idp, make_pool):
    pool = make_pool()
    names = [f"group-{number}" for number in range(5)]
    for name in names:
        idp.create_group(UserPoolId=pool.id, GroupName=name)
    pages = list(idp.get_paginator("list_groups").paginate(UserPoolId=pool.id, PaginationConfig={"PageSize": 2}))
    assert [len(page["Groups"]) for page in pages] == [2, 2, 1]
    assert sorted(group["GroupName"] for page in pages for group in page["Groups"]) == names


# --- who is in them ---


def test_users_join_and_leave(idp, pool, ann, make_group):
    one, other = make_group(), make_group()
    join(idp, ann, one, other, one)
    assert groups_of(idp, ann) == sorted([one, other])
    [member] = idp.list_users_in_group(UserPoolId=pool.id, GroupName=one)["Users"]
    assert member["Username"] == ann.username
    idp.admin_remove_user_from_group(**ann.named(), GroupName=one)
    idp.admin_remove_user_from_group(**ann.named(), GroupName=one)
    assert groups_of(idp, ann) == [other]


def test_members_and_memberships_come_page_by_page(idp, pool, make_group):
    users, groups = [pool.user() for _ in range(3)], [make_group() for _ in range(3)]
    for user in users:
        join(idp, user, groups[0])
    join(idp, users[0], *groups[1:])
    size = {"PageSize": 2}
    members = idp.get_paginator("list_users_in_group").paginate(
        UserPoolId=pool.id, GroupName=groups[0], PaginationConfig=size
    )
    names = [user["Username"] for page in members for user in page["Users"]]
    assert sorted(names) == sorted(user.username for user in users)
    mine = idp.get_paginator("admin_list_groups_for_user").paginate(**users[0].named(), PaginationConfig=size)
    assert sorted(group["GroupName"] for page in mine for group in page["Groups"]) == sorted(groups)


def test_nobody_joins_who_does_not_exist(idp, pool, make_group):
    with refused("UserNotFoundException", "User does not exist."):
        idp.admin_add_user_to_group(UserPoolId=pool.id, Username=unique("nobody"), GroupName=make_group())


def test_a_deleted_group_has_no_members(idp, pool, ann, make_group):
    name = make_group()
    join(idp, ann, name)
    idp.delete_group(UserPoolId=pool.id, GroupName=name)
    assert groups_of(idp, ann) == []
    idp.create_group(UserPoolId=pool.id, GroupName=name)
    assert idp.list_users_in_group(UserPoolId=pool.id, GroupName=name)["Users"] == []


# --- what tokens say ---


def test_tokens_say_the_groups_of_the_moment(idp, app, ann, make_group):
    tokens = app.sign_in(ann)
    assert "cognito:groups" not in claims(tokens["AccessToken"]) | claims(tokens["IdToken"])
    last, first, second = make_group(), make_group(Precedence=1, RoleArn=ADMIN), make_group(Precedence=2, RoleArn=READER)
    join(idp, ann, last, second, first)
    for answer in (app.sign_in(ann), app.refresh(tokens)):
        access, identity = claims(answer["AccessToken"]), claims(answer["IdToken"])
        assert access["cognito:groups"] == identity["cognito:groups"] == [first, second, last]
        assert identity["cognito:roles"] == [ADMIN, READER]
        assert identity["cognito:preferred_role"] == ADMIN
        assert "cognito:roles" not in access
    idp.admin_remove_user_from_group(**ann.named(), GroupName=first)
    assert claims(app.refresh(tokens)["IdToken"])["cognito:preferred_role"] == READER


def test_groups_of_one_precedence_with_different_roles_prefer_none(idp, app, ann, make_group):
    join(idp, ann, make_group(Precedence=1, RoleArn=ADMIN), make_group(Precedence=1, RoleArn=READER))
    identity = claims(app.sign_in(ann)["IdToken"])
    assert sorted(identity["cognito:roles"]) == [ADMIN, READER]
    assert "cognito:preferred_role" not in identity


def groups_of(idp, user) -> list[str]:
    return sorted(group["GroupName"] for group in idp.admin_list_groups_for_user(**user.named())["Groups"])
