"""The words and columns of the files, and what each employer and occupation stands for."""

from __future__ import annotations

import re

# Weight (per mille of people with a job), share of state servants, of commercial associates and of men, trade
# (which decides the occupations), and the shift in the log-odds of default.
ORGANISATIONS: dict[str, tuple[float, float, float, float, str, float]] = {
    "Advertising": (1.7, 0.00, 0.40, 0.33, "office", 0.10),
    "Agriculture": (9.7, 0.01, 0.11, 0.49, "industry", 0.20),
    "Bank": (9.9, 0.04, 0.51, 0.20, "office", -0.35),
    "Business Entity Type 1": (23.7, 0.03, 0.34, 0.44, "mixed", 0.05),
    "Business Entity Type 2": (41.8, 0.04, 0.28, 0.44, "mixed", 0.05),
    "Business Entity Type 3": (269.7, 0.01, 0.37, 0.45, "mixed", 0.12),
    "Cleaning": (1.0, 0.00, 0.20, 0.40, "service", 0.35),
    "Construction": (26.7, 0.02, 0.29, 0.72, "industry", 0.35),
    "Culture": (1.5, 0.17, 0.15, 0.28, "public", -0.35),
    "Electricity": (3.8, 0.03, 0.30, 0.55, "industry", -0.15),
    "Emergency": (2.2, 0.29, 0.14, 0.70, "guard", -0.10),
    "Government": (41.3, 0.27, 0.14, 0.30, "public", -0.15),
    "Hotel": (3.8, 0.02, 0.30, 0.20, "service", -0.15),
    "Housing": (11.7, 0.06, 0.22, 0.43, "industry", -0.05),
    "Industry: type 1": (4.1, 0.01, 0.33, 0.61, "industry", 0.30),
    "Industry: type 10": (0.4, 0.00, 0.25, 0.43, "industry", -0.15),
    "Industry: type 11": (10.7, 0.05, 0.24, 0.48, "industry", 0.05),
    "Industry: type 12": (1.5, 0.01, 0.36, 0.25, "industry", -0.40),
    "Industry: type 13": (0.3, 0.00, 0.20, 0.65, "industry", 0.45),
    "Industry: type 2": (1.8, 0.02, 0.33, 0.40, "industry", -0.10),
    "Industry: type 3": (13.0, 0.02, 0.22, 0.35, "industry", 0.30),
    "Industry: type 4": (3.5, 0.01, 0.40, 0.45, "industry", 0.15),
    "Industry: type 5": (2.3, 0.01, 0.25, 0.45, "industry", -0.15),
    "Industry: type 6": (0.4, 0.00, 0.30, 0.45, "industry", -0.10),
    "Industry: type 7": (5.1, 0.04, 0.16, 0.55, "industry", 0.00),
    "Industry: type 8": (0.1, 0.00, 0.20, 0.60, "industry", 0.40),
    "Industry: type 9": (13.3, 0.05, 0.14, 0.63, "industry", -0.15),
    "Insurance": (2.4, 0.08, 0.55, 0.22, "office", -0.20),
    "Kindergarten": (27.3, 0.29, 0.12, 0.04, "public", -0.10),
    "Legal Services": (1.2, 0.05, 0.36, 0.30, "office", 0.00),
    "Medicine": (44.3, 0.25, 0.13, 0.09, "medicine", -0.20),
    "Military": (10.5, 0.54, 0.09, 0.68, "guard", -0.35),
    "Mobile": (1.2, 0.00, 0.60, 0.30, "office", 0.10),
    "Other": (66.0, 0.16, 0.22, 0.34, "mixed", -0.10),
    "Police": (9.3, 0.58, 0.10, 0.60, "guard", -0.45),
    "Postal": (8.6, 0.24, 0.12, 0.10, "public", 0.05),
    "Realtor": (1.6, 0.00, 0.60, 0.25, "office", 0.25),
    "Religion": (0.3, 0.00, 0.25, 0.30, "public", -0.30),
    "Restaurant": (7.2, 0.02, 0.25, 0.20, "service", 0.30),
    "School": (35.2, 0.31, 0.12, 0.12, "public", -0.25),
    "Security": (12.8, 0.03, 0.30, 0.74, "guard", 0.20),
    "Security Ministries": (7.8, 0.48, 0.14, 0.33, "guard", -0.35),
    "Self-employed": (152.5, 0.00, 0.31, 0.32, "trade", 0.20),
    "Services": (6.2, 0.01, 0.36, 0.12, "service", -0.15),
    "Telecom": (2.3, 0.00, 0.40, 0.50, "office", -0.10),
    "Trade: type 1": (1.4, 0.00, 0.33, 0.20, "trade", 0.10),
    "Trade: type 2": (7.5, 0.00, 0.45, 0.35, "trade", -0.10),
    "Trade: type 3": (13.9, 0.00, 0.42, 0.22, "trade", 0.25),
    "Trade: type 4": (0.3, 0.00, 0.20, 0.40, "trade", -0.30),
    "Trade: type 5": (0.2, 0.00, 0.20, 0.20, "trade", -0.20),
    "Trade: type 6": (2.5, 0.03, 0.33, 0.10, "trade", -0.35),
    "Trade: type 7": (31.1, 0.02, 0.32, 0.20, "trade", 0.15),
    "Transport: type 1": (0.8, 0.00, 0.28, 0.65, "transport", -0.25),
    "Transport: type 2": (8.7, 0.15, 0.27, 0.54, "transport", -0.05),
    "Transport: type 3": (4.7, 0.00, 0.32, 0.82, "transport", 0.60),
    "Transport: type 4": (21.4, 0.02, 0.27, 0.62, "transport", 0.15),
    "University": (5.3, 0.30, 0.24, 0.22, "public", -0.45),
}
TRADES = ("mixed", "office", "trade", "industry", "public", "medicine", "guard", "transport", "service")

# Weight in each of TRADES, share of men, share of graduates, and the shift in the log-odds of default; the
# last row is "not given".
OCCUPATIONS: dict[str | None, tuple[tuple[float, ...], float, float, float]] = {
    "Laborers": ((25, 3, 16, 38, 12, 2, 12, 28, 12), 0.58, 0.12, 0.15),
    "Core staff": ((7, 45, 7, 4, 42, 6, 38, 8, 6), 0.21, 0.48, -0.12),
    "Accountants": ((5, 10, 4, 4, 4, 1, 1, 3, 4), 0.03, 0.59, -0.20),
    "Managers": ((10, 20, 9, 7, 8, 3, 8, 8, 10), 0.48, 0.58, -0.05),
    "Drivers": ((8, 4, 10, 9, 4, 3, 6, 24, 3), 0.94, 0.11, 0.15),
    "Sales staff": ((13, 6, 42, 3, 1, 1, 1, 2, 8), 0.10, 0.17, 0.10),
    "Cleaning staff": ((1.5, 0.5, 0.8, 1.5, 4.5, 2, 0.6, 0.8, 6), 0.08, 0.03, 0.20),
    "Cooking staff": ((2.5, 0.3, 2.5, 1, 6, 2, 0.5, 0.5, 22), 0.12, 0.04, 0.20),
    "Private service staff": ((0.8, 0.6, 3, 0.2, 0.2, 0.5, 0.1, 0.2, 18), 0.03, 0.18, -0.10),
    "Medicine staff": ((0.5, 0.2, 0.2, 0.4, 3, 58, 0.5, 0.4, 1), 0.02, 0.11, 0.0),
    "Security staff": ((1.8, 0.8, 0.6, 1, 3, 0.8, 24, 1.5, 1), 0.67, 0.08, 0.15),
    "High skill tech staff": ((4.5, 5, 2.5, 7, 4, 3, 4, 5, 2), 0.35, 0.38, -0.10),
    "Waiters/barmen staff": ((0.6, 0.1, 0.4, 0.1, 0.2, 0.1, 0.1, 0.1, 6), 0.14, 0.19, 0.20),
    "Low-skill Laborers": ((1.3, 0.2, 1, 1.5, 0.3, 0.1, 0.4, 0.8, 0.8), 0.83, 0.06, 0.50),
    "Realty agents": ((0.3, 2.5, 0.5, 0.3, 0.05, 0.02, 0.05, 0.05, 3), 0.08, 0.33, 0.0),
    "Secretaries": ((0.4, 1, 0.3, 0.3, 1.5, 3, 0.8, 0.3, 0.3), 0.06, 0.40, -0.10),
    "IT staff": ((0.2, 0.8, 0.1, 0.15, 0.2, 0.05, 0.2, 0.1, 0.05), 0.75, 0.85, -0.15),
    "HR staff": ((0.2, 0.5, 0.1, 0.2, 0.3, 0.1, 0.2, 0.2, 0.1), 0.10, 0.85, -0.20),
    None: ((20, 12, 10, 14, 15, 8, 13, 16, 14), 0.33, 0.30, 0.0),
}

LEVELS: dict[str, tuple[str, ...]] = {
    "NAME_CONTRACT_TYPE": ("Cash loans", "Revolving loans"),
    "CODE_GENDER": ("F", "M", "XNA"),
    "FLAG_OWN_CAR": ("N", "Y"),
    "FLAG_OWN_REALTY": ("N", "Y"),
    "NAME_TYPE_SUITE": (
        "Unaccompanied", "Family", "Spouse, partner", "Children", "Other_B", "Other_A", "Group of people",
    ),
    "NAME_INCOME_TYPE": (
        "Working", "Commercial associate", "State servant", "Pensioner",
        "Unemployed", "Student", "Businessman", "Maternity leave",
    ),
    "NAME_EDUCATION_TYPE": (
        "Secondary / secondary special", "Higher education", "Incomplete higher", "Lower secondary",
        "Academic degree",
    ),
    "NAME_FAMILY_STATUS": (
        "Married", "Single / not married", "Civil marriage", "Separated", "Widow", "Unknown",
    ),
    "NAME_HOUSING_TYPE": (
        "House / apartment", "With parents", "Rented apartment", "Municipal apartment", "Office apartment",
        "Co-op apartment",
    ),
    "OCCUPATION_TYPE": tuple(name for name in OCCUPATIONS if name is not None),
    "WEEKDAY_APPR_PROCESS_START": (
        "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY",
    ),
    "ORGANIZATION_TYPE": (*ORGANISATIONS, "XNA"),
    "FONDKAPREMONT_MODE": (
        "reg oper account", "reg oper spec account", "org spec account", "not specified",
    ),
    "HOUSETYPE_MODE": ("block of flats", "specific housing", "terraced house"),
    "WALLSMATERIAL_MODE": (
        "Panel", "Stone, brick", "Block", "Wooden", "Mixed", "Monolithic", "Others",
    ),
    "EMERGENCYSTATE_MODE": ("No", "Yes"),
}  # fmt: skip

# Threshold on "how well the building is documented" below which the measure is missing; what the most
# frequent value (MODE) and the median (MEDI) are as multiples of the average; the smallest part of it that
# they can be in an uneven building; the step in which the measure is counted.
BUILDING: dict[str, tuple[float, float, float, float, float]] = {
    "APARTMENTS": (-1.68, 1.019, 1.010, 0.6, 1e-4),
    "BASEMENTAREA": (-0.87, 1.038, 1.000, 0.6, 1e-4),
    "YEARS_BEGINEXPLUATATION": (-2.39, 1.000, 1.000, 0.99, 1e-4),
    "YEARS_BUILD": (-0.39, 1.012, 1.004, 0.95, 1e-4),
    "COMMONAREA": (-0.23, 1.009, 1.006, 0.5, 1e-4),
    "ELEVATORS": (-1.34, 1.007, 1.000, 0.5, 0.04),
    "ENTRANCES": (-1.82, 1.000, 1.000, 0.6, 1 / 29),
    "FLOORSMAX": (-2.04, 1.000, 1.000, 0.7, 1 / 24),
    "FLOORSMIN": (-0.32, 1.000, 1.000, 0.7, 1 / 24),
    "LANDAREA": (-0.81, 1.023, 1.017, 0.6, 1e-4),
    "LIVINGAPARTMENTS": (-0.29, 1.092, 1.017, 0.6, 1e-4),
    "LIVINGAREA": (-1.81, 1.042, 1.018, 0.6, 1e-4),
    "NONLIVINGAPARTMENTS": (-0.24, 1.004, 1.000, 0.5, 1e-4),
    "NONLIVINGAREA": (-1.16, 1.058, 1.020, 0.5, 1e-4),
}
ENQUIRIES = ("HOUR", "DAY", "WEEK", "MON", "QRT", "YEAR")

# In the order of the files; TARGET is in the file of former customers only.
COLUMNS = (
    "SK_ID_CURR", "TARGET", "NAME_CONTRACT_TYPE", "CODE_GENDER", "FLAG_OWN_CAR", "FLAG_OWN_REALTY",
    "CNT_CHILDREN", "AMT_INCOME_TOTAL", "AMT_CREDIT", "AMT_ANNUITY", "AMT_GOODS_PRICE", "NAME_TYPE_SUITE",
    "NAME_INCOME_TYPE", "NAME_EDUCATION_TYPE", "NAME_FAMILY_STATUS", "NAME_HOUSING_TYPE",
    "REGION_POPULATION_RELATIVE", "DAYS_BIRTH", "DAYS_EMPLOYED", "DAYS_REGISTRATION", "DAYS_ID_PUBLISH",
    "OWN_CAR_AGE", "FLAG_MOBIL", "FLAG_EMP_PHONE", "FLAG_WORK_PHONE", "FLAG_CONT_MOBILE", "FLAG_PHONE",
    "FLAG_EMAIL", "OCCUPATION_TYPE", "CNT_FAM_MEMBERS", "REGION_RATING_CLIENT",
    "REGION_RATING_CLIENT_W_CITY", "WEEKDAY_APPR_PROCESS_START", "HOUR_APPR_PROCESS_START",
    "REG_REGION_NOT_LIVE_REGION", "REG_REGION_NOT_WORK_REGION", "LIVE_REGION_NOT_WORK_REGION",
    "REG_CITY_NOT_LIVE_CITY", "REG_CITY_NOT_WORK_CITY", "LIVE_CITY_NOT_WORK_CITY", "ORGANIZATION_TYPE",
    "EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3",
    *(f"{measure}_{kind}" for kind in ("AVG", "MODE", "MEDI") for measure in BUILDING),
    "FONDKAPREMONT_MODE", "HOUSETYPE_MODE", "TOTALAREA_MODE", "WALLSMATERIAL_MODE", "EMERGENCYSTATE_MODE",
    *(f"{kind}_{days}_CNT_SOCIAL_CIRCLE" for days in (30, 60) for kind in ("OBS", "DEF")),
    "DAYS_LAST_PHONE_CHANGE",
    *(f"FLAG_DOCUMENT_{number}" for number in range(2, 22)),
    *(f"AMT_REQ_CREDIT_BUREAU_{span}" for span in ENQUIRIES),
)  # fmt: skip
# The files write these as 12.0, even the counts.
DECIMAL = re.compile(
    r"AMT_.*|EXT_SOURCE_\d|.*_(AVG|MODE|MEDI|SOCIAL_CIRCLE)|REGION_POPULATION_RELATIVE|OWN_CAR_AGE"
    r"|CNT_FAM_MEMBERS|DAYS_REGISTRATION|DAYS_LAST_PHONE_CHANGE"
)
